"""Named checks, and a closing line."""

import time


class Checks:
    """Runs checks one after the other, and counts."""

    def __init__(self, timed=True):
        """`timed`: whether a check that passed says how long after the start it did."""
        self.passed = self.failed = 0
        self.timed = timed
        self.began = time.monotonic()

    def check(self, name, function, *arguments):
        """The function's result; none if it raised, which is reported."""
        try:
            result = function(*arguments)
        except Exception as error:  # Whatever it is, it's this check's result.
            detail = str(error) if isinstance(error, AssertionError) else repr(error)
            first, *lines = detail[:3000].splitlines() or [""]
            print(f"FAILED  {name}: {first}", *lines, sep="\n          ", flush=True)
            self.failed += 1
            return None
        seconds = f" ({time.monotonic() - self.began:.0f} s)" if self.timed else ""
        print(f"ok      {name}{seconds}", flush=True)
        self.passed += 1
        return result

    def close(self):
        """The closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


# The checks of the pipeline test in the order of their definition: names and functions.
CHECKS = []


def check(name):
    """Registers a check: a function of the pipeline that raises if something is wrong."""

    def register(function):
        CHECKS.append((name, function))
        return function

    return register


def expect(holds, problem):
    if not holds:
        raise AssertionError(problem)


def expect_equal(found, expected, what):
    expect(found == expected, f"{what}: {found!r}, expected {expected!r}")
