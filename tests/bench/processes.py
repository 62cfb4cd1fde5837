"""processes.py: starts processes so that none is lost sight of, whenever the run is stopped: a signal that comes
while one is being started or ended is heard right after that."""

import contextlib
import signal
import subprocess
import sys

END_SECONDS = 10
stopping = {"guarded": False, "asked": False}


def hear_signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def stop(*_):
    stopping["asked"] = True
    if not stopping["guarded"]:
        sys.exit("stopped")


@contextlib.contextmanager
def undisturbed():
    stopping["guarded"] = True
    try:
        yield
    finally:
        stopping["guarded"] = False
    if stopping["asked"] and sys.exc_info()[0] is None:
        sys.exit("stopped")


@contextlib.contextmanager
def started(command, **options):
    """The process, which is ended by TERM, or by KILL where it does not obey."""
    process = None
    try:
        with undisturbed():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        yield process
    finally:
        if process is not None:
            with undisturbed():
                end(process)


def end(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def output_of(command):
    """What it prints. RuntimeError with what it says on standard error, where it fails."""
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {errors.strip()}")
        return output
