"""offices.py: post offices that are filled before they are measured: made by tool_fill when first asked for,
kept for all rows that want the same, removed at the end of the run."""

import os
import pathlib
import shutil
import subprocess

import processes
import servers

SEGMENTS = pathlib.Path("/dev/shm")
BYTES_BESIDE_TEXT = 160  # of a message in memory, at most; for knowing beforehand whether it fits


class Offices:
    def __init__(self, place):
        self.place = place
        self.names = {}

    def filled(self, accounts, messages, size):
        """The name of a post office that holds so much."""
        key = (accounts, messages, size)
        if key not in self.names:
            needed = messages * (size + BYTES_BESIDE_TEXT) + accounts * 1024
            free = shutil.disk_usage(SEGMENTS).free
            if free < needed:
                raise servers.Unavailable(f"{SEGMENTS} has {free >> 20} MiB free, and {needed >> 20} are needed")
            name = f"bench-{os.getpid()}-{len(self.names)}"
            self.names[key] = name
            fill(self.place, name, *key)
        return self.names[key]

    def bytes_in_use(self, name):
        return (SEGMENTS / f"shmail-{name}").stat().st_blocks * 512

    def remove(self):
        with processes.undisturbed():
            for name in self.names.values():
                self.remove_one(name)
        self.names.clear()

    def remove_one(self, name):
        subprocess.run([self.place.program("shmailctl"), "rm", name], check=False, stderr=subprocess.DEVNULL)


def fill(place, *arguments):
    processes.output_of([place.program("tests/bench/tool_fill"), *(str(word) for word in arguments)])
