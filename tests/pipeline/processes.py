"""Running programs, when, and ending them with this one."""

import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from time import sleep

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": os.environ.get("HOME", "/"),
    "LC_ALL": "C.UTF-8",
}


@contextlib.contextmanager
def running(command, **options):
    """A process that is ended with the block."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def quiet(command, **options):
    """Runs a command that must succeed; what it printed."""
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **options,
    )
    if done.returncode != 0:
        problem = f"{command[0]}: exit code {done.returncode}"
        raise RuntimeError(f"{problem}\n{done.stdout}{done.stderr}")
    return done.stdout


def stop_on_signals(timeout=0):
    """Ends the script on a signal, or after these many seconds, by way of its `finally` blocks,
    which no further signal interrupts."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]

    def stop(number, _):
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGALRM:
            print(f"gave up after {timeout} seconds", flush=True)
        sys.exit(128 + number)

    for number in numbers:
        signal.signal(number, stop)
    signal.alarm(timeout)


def wait_for_day(run_time):
    """Waits for the next day, UTC, if it begins before the runs would end."""
    now = datetime.now(UTC)
    midnight = (now + run_time).replace(hour=0, minute=0, second=0, microsecond=0)
    if midnight > now:
        print("-- waiting for midnight, UTC", flush=True)
        sleep((midnight - now).total_seconds() + 1)
