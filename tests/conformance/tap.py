"""Runs of the tap: undisturbed, killed, or asked to stop."""

import contextlib
import dataclasses
import os
import selectors
import signal
import subprocess
import time

from description import fill, write


@dataclasses.dataclass
class Place:
    """A place in the output: after so many lines or bytes."""

    count: int
    unit: str  # "lines" or "bytes"

    def __str__(self):
        return f"{self.count} {self.unit}"

    @classmethod
    def draw(cls, random, lines, size):
        """Any place in an output of this size; some of them are early ones."""
        unit, whole = random.choice([("lines", lines), ("bytes", size)])
        whole = max(whole, 1)
        even = random.random() < 0.7
        return cls(random.randint(1, whole) if even else int(whole ** random.random()), unit)

    def offset(self, output):
        """The offset of this place; none if the output doesn't reach it."""
        if self.unit == "bytes":
            return self.count if len(output) >= self.count else None
        end = 0
        for _ in range(self.count):
            end = output.find(b"\n", end) + 1
            if not end:
                return None
        return end

    def reached(self, output, lines):
        return (len(output) if self.unit == "bytes" else lines) >= self.count


@dataclasses.dataclass
class Output:
    """What a run wrote, and how it ended."""

    data: bytes
    exit_code: int
    # Whether the run got a signal before it ended by itself.
    disturbed: bool
    # Seconds from the signal to the end, or 0 without one.
    seconds: float
    # The end of what it wrote to stderr.
    log: str
    # What the kit had to end by force, and why.
    forced: str = ""

    @property
    def lines(self):
        """The lines that have an end."""
        return self.data.split(b"\n")[:-1]

    @property
    def rest(self):
        """What follows the last end of a line."""
        return self.data.rpartition(b"\n")[2]


class Tap:
    """The tap's command, with its files in place."""

    def __init__(self, description, files):
        self.description = description
        self.files = files
        self.placed = description.prepare(files)

    def run(self, state=None, kill=None, drain=True, stop=None):
        """One run, from a state. At the place `kill` it is killed; what it had written by then is
        in the pipe, and `drain` says whether it is read. At the place `stop` it gets SIGTERM."""
        command = list(self.description.command)
        if state is not None:
            write(self.placed["state"], state)
            command += self.description.state_arguments
        log = self.files / "tap.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                fill(command, self.placed),
                cwd=self.description.folder,
                env=self.description.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # So that what it started is killed with it.
            )
            try:
                output = self._read(process, kill or stop, kill is not None)
            finally:
                end(process)
        if kill and not drain and output.disturbed:
            output.data = output.data[: kill.offset(output.data)]
        output.log = log.read_bytes()[-1500:].decode(errors="replace")
        return output

    def _read(self, process, place, kills):
        """Reads the output to its end, and sends the signal at the place."""
        data, lines, signalled, forced = bytearray(), 0, None, ""
        deadline = time.monotonic() + self.description.timeout_seconds
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        with selector, process.stdout:
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    forced = "SIGTERM didn't end it" if signalled else "it didn't end"
                    break
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                data += chunk
                lines += chunk.count(b"\n")
                if place and not signalled and place.reached(data, lines):
                    signalled = time.monotonic()
                    if kills:
                        end(process)
                    else:
                        process.send_signal(signal.SIGTERM)
                        deadline = signalled + self.description.grace_seconds
            if not forced:
                try:
                    process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    forced = "it closed its stdout and didn't end"
        end(process)
        seconds = time.monotonic() - signalled if signalled else 0
        return Output(bytes(data), process.returncode, bool(signalled), seconds, "", forced)


def end(process):
    """Kills a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
