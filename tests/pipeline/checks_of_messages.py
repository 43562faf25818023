"""What must hold of each run: of its exit codes, its messages and its requests."""

import json
import subprocess
from collections import Counter

from checks import expect, expect_equal
from processes import ENVIRONMENT
from runs import check_each_run


@check_each_run("both ends of the pipe exit with 0")
def exit_codes(_, run):
    expect_equal(run.exit_codes, {"tap": 0, "tee": 0, "target": 0}, "exit codes")


@check_each_run("the tap's stdout holds Singer messages and nothing else")
def only_messages(_, run):
    for number, line in enumerate(run.output.read_bytes().split(b"\n")[:-1], 1):
        try:
            kind = json.loads(line)["type"]
        except (ValueError, TypeError, KeyError):
            raise AssertionError(f"line {number} is no message: {line[:200]!r}") from None
        expect(kind in ["SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"], f"line {number}: {kind}")
    expect(run.output.read_bytes().endswith(b"\n"), "the last line has no end")


@check_each_run("singer-check-tap finds the output valid")
def check_tap(pipeline, run):
    with run.output.open() as output:
        done = subprocess.run(
            [pipeline.programs.check_tap],
            cwd=pipeline.folder,
            env=ENVIRONMENT,
            stdin=output,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    valid = done.returncode == 0 and "The output is valid." in done.stdout
    expect(valid, f"exit code {done.returncode}\n{done.stdout[-2000:]}")


@check_each_run("the API granted every request")
def all_answered(_, run):
    statuses = Counter((request["endpoint"], request["status"]) for request in run.requests)
    expect(statuses, "no request in the sandbox's log")
    others = {pair: count for pair, count in statuses.items() if pair[1] not in [200, 202]}
    expect(not others, f"other answers: {others}")


@check_each_run("the target's state is the last one that the tap wrote")
def state_printed(_, run):
    states = [message["value"] for message in run.messages if message["type"] == "STATE"]
    expect(states, "the tap wrote no state")
    expect_equal(run.state, states[-1], "the target's last line")
