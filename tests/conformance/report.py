"""Prints what was found."""

import contextlib
import time

from description import BadDescription
from messages import Violation


class Report:
    """A line for each check, and a closing one."""

    def __init__(self):
        self.passed = 0
        # The names of the checks that failed.
        self.failures = []
        # How many runs went on from a STATE of one that was disturbed.
        self.resumed = 0
        self.details = []

    def detail(self, text):
        """Adds to the line of the check that is under way."""
        self.details.append(text)

    @contextlib.contextmanager
    def check(self, name, story=()):
        """A check, which failed if the block raises; then its story is told."""
        began = time.monotonic()
        self.details = []
        try:
            yield
        except (Violation, BadDescription) as problem:
            first, *more = str(problem)[:4000].splitlines() or [""]
            told = [f"run {number}: {what}" for number, what in enumerate(story, 1)]
            print(f"FAILED  {name}: {first}", *more, *told, sep="\n          ", flush=True)
            self.failures.append(name)
        else:
            self.detail(f"{time.monotonic() - began:.1f} s")
            print(f"ok      {name} ({', '.join(self.details)})", flush=True)
            self.passed += 1

    def close(self):
        """The closing line; the exit code."""
        print(f"{self.passed} passed, {len(self.failures)} failed")
        return 1 if self.failures else 0
