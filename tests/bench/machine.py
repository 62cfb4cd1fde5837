"""machine.py: says where and of what a run was: date, processors, kernel, compiler, commit, versions of the peers."""

import datetime
import os
import pathlib
import platform
import re
import subprocess

PEERS = {"redis": ["redis-server", "--version"], "dovecot": ["/usr/sbin/dovecot", "--version"],
         "beanstalkd": ["beanstalkd", "-v"]}


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pathlib.Path(__file__).parent)
    except OSError:
        return None
    return (done.stdout + done.stderr).strip().partition("\n")[0] if done.returncode == 0 else None


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        names = re.findall(r"(?m)^model name\s*: (.*)$", text.read())
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} processors"


def memory():
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB"


def describe():
    changed = first_line(["git", "status", "--porcelain", "--untracked-files=no"])
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": (first_line(["git", "rev-parse", "--short=12", "HEAD"]) or "none") +
                  (" with changes" if changed else ""),
        "processor": processor(),
        "memory": memory(),
        "kernel": platform.release(),
        "library": " ".join(platform.libc_ver()),
        "compiler": first_line([os.environ.get("CC", "cc"), "--version"]),
        "load": os.getloadavg()[0],
        "peers": {name: first_line(command) for name, command in PEERS.items()},
    }
