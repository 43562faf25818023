"""What the tests of the tap's neighbours have in common: named checks, and a closing line."""

import time


class Checks:
    """Runs checks one after the other, and counts."""

    def __init__(self):
        self.passed = self.failed = 0
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
        seconds = time.monotonic() - self.began
        print(f"ok      {name} ({seconds:.0f} s)", flush=True)
        self.passed += 1
        return result

    def close(self):
        """The closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
