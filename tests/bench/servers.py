"""servers.py: starts and ends the programs that are measured, each on a free port of 127.0.0.1, in a directory
and with a configuration of its own. It knows how each is made comparable, and nothing of the measurements."""

import contextlib
import grp
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import time

import processes

READY_SECONDS = 20
FILLED_SECONDS = 120


class Unavailable(Exception):
    """What a row needs is not there; the text says what."""


class Place:
    """Where and how long a run happens: the built programs, a directory on a disk, a processor for pinned rows."""

    def __init__(self, build, directory, quick):
        self.rounds, self.seconds, self.warm_up = (5, 0.2, 0) if quick else (7, 0.6, 0.06)
        self.quick = quick
        self.build = pathlib.Path(build).resolve()
        self.directory = pathlib.Path(directory)
        self.help = subprocess.run([self.program("shmaild"), "--help"], capture_output=True, text=True,
                                   check=True).stdout
        self.processor = str(min(os.sched_getaffinity(0)))
        self.made = 0

    def program(self, name):
        return str(self.build / name)

    def has_option(self, option):
        return re.search(r"(^|\s)" + re.escape(option) + r"(\s|,|=|$)", self.help, re.MULTILINE) is not None

    def new_directory(self, name):
        self.made += 1
        directory = self.directory / f"{name}.{self.made}"
        directory.mkdir()
        return directory

    def clear(self):
        """Between works: the next one finds an empty disk."""
        for directory in self.directory.iterdir():
            shutil.rmtree(directory)

    def on_one_processor(self, command, pinned):
        return ["taskset", "-c", self.processor, *command] if pinned else command


def peer_program(name, package):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Unavailable(f"no {name} here (package {package}; sh contrib/bootstrap bench installs it)")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def announced(command, log):
    """A server that prints its address: yields (address, process)."""
    with open(log, "wb") as errors, processes.started(command, stdout=subprocess.PIPE, stderr=errors) as process:
        with process.stdout:
            line = process.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(f"{command[0]} does not start: " + pathlib.Path(log).read_text().strip())
        yield line, process


@contextlib.contextmanager
def answering(command, port, log, **options):
    """A server that is told its port: yields (address, process) once it can be connected to."""
    with open(log, "wb") as output, processes.started(command, stdout=output, stderr=output, **options) as process:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start: " +
                                       pathlib.Path(log).read_text().strip()) from None
                time.sleep(0.01)
        yield f"inet:127.0.0.1:{port}", process


@contextlib.contextmanager
def filled(server, log, size):
    """The same server, once its journal has been written up to its size, as it is in the background."""
    with server as (address, process):
        deadline = time.monotonic() + FILLED_SECONDS
        with open(log, "rb") as file:
            while os.fstat(file.fileno()).st_size < size or os.lseek(file.fileno(), 0, os.SEEK_HOLE) < size:
                if time.monotonic() > deadline:
                    raise Unavailable(f"a journal of {size} bytes is not written within {FILLED_SECONDS} s")
                time.sleep(0.1)
        yield address, process


def shmaild(place, pinned, options=(), office=None, program="shmaild", journal=0):
    """Private, or on the post office that is named; with a journal of so many bytes, a quick run with a quarter."""
    for option in options:
        if option.startswith("--") and not place.has_option(option.split("=")[0]):
            raise Unavailable(f"shmaild has no {option.split('=')[0]} yet")
    directory = place.new_directory("shmaild")
    whose = ["-e"] if office is None else ["-n", office]
    command = [place.program(program), *whose, "-1", "-l", "inet:127.0.0.1:0", "--crypt-cost", "1", *options]
    if journal == 0:
        return announced(place.on_one_processor(command, pinned), directory / "log")
    size = journal // 4 if place.quick else journal
    command += ["-d", str(directory / "journal"), "--sync", "always", "--journal-size", str(size)]
    return filled(announced(place.on_one_processor(command, pinned), directory / "log"),
                  directory / "journal" / "journal.0", size)


def limit(place, pinned, name, *arguments):
    directory = place.new_directory(name)
    command = [place.program("tests/bench/" + name),
               *(str(directory / "file") if argument == "FILE" else argument for argument in arguments)]
    return announced(place.on_one_processor(command, pinned), directory / "log")


def redis(place, pinned, durable=False):
    directory = place.new_directory("redis")
    port = free_port()
    command = [peer_program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1",
               "--dir", str(directory), "--save", "", "--appendonly", "yes" if durable else "no",
               "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
    return answering(place.on_one_processor(command, pinned), port, directory / "log")


def beanstalkd(place, pinned):
    directory = place.new_directory("beanstalkd")
    port = free_port()
    command = [peer_program("beanstalkd", "beanstalkd"), "-l", "127.0.0.1", "-p", str(port)]
    return answering(place.on_one_processor(command, pinned), port, directory / "log")


DOVECOT = """
protocols = pop3 lmtp
base_dir = {directory}/base
state_dir = {directory}/base
log_path = {directory}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{directory}/mail/%u
mail_fsync = optimized
mail_max_userip_connections = 1000
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}/home/%u allow_all_users=yes
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  process_min_avail = 16
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


@contextlib.contextmanager
def dovecot(place, pinned, protocol):
    """An instance of its own under an ordinary user: dovecot gives mail to none with the number 0."""
    program = peer_program("dovecot", "dovecot-core")
    for module, package in (("pop3", "dovecot-pop3d"), ("lmtp", "dovecot-lmtpd")):
        if not os.path.exists(f"/usr/lib/dovecot/{module}"):
            raise Unavailable(f"dovecot has no {module} here (package {package})")
    directory = place.new_directory("dovecot")
    ports = {"pop3": free_port(), "lmtp": free_port()}
    root = os.getuid() == 0
    user, group = ("nobody", "nogroup")
    if not root:
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    (directory / "base").mkdir()
    (directory / "dovecot.conf").write_text(
        DOVECOT.format(directory=directory, user=user, group=group, **ports))
    if root:
        shutil.chown(directory, user, group)
        shutil.chown(directory / "base", user, group)
    command = place.on_one_processor([program, "-F", "-c", str(directory / "dovecot.conf")], pinned)
    identity = {"user": user, "group": group, "extra_groups": []} if root else {}
    with answering(command, ports[protocol], directory / "log.start", **identity) as server:
        yield server
