"""The tap in a real pipeline: simulated account -> tap -> target-postgres -> SQL.

`tests/pipeline/run` starts this with the paths of the programs. It starts a simulated account and
a PostgreSQL server of its own on free loopback ports, syncs the account several times, and looks
at the messages, the requests and the tables. Both servers, and all files, are gone at the end.

`runs.py` has the runs, and the modules named `checks_of_` have the checks.
"""

import argparse
import contextlib
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

# The checks register themselves, and run in this order.
import checks_of_schemas
import checks_of_messages
import checks_of_tables
import checks_of_later_runs
from checks import CHECKS, Checks
from processes import stop_on_signals, wait_for_day
from runs import Pipeline
from servers import USERS, Account, Postgres

# Seconds until this script gives up.
TIMEOUT = 900
# Enough for all runs, which begin and end on one day, UTC: a new day brings new rows.
RUN_TIME = timedelta(minutes=3)


def start(stack, programs):
    """The pipeline, whose servers and files are gone when the stack is closed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-")))
    folder.chmod(0o711)  # PostgreSQL's user passes through.
    (folder / "postgres").mkdir(mode=0o700)
    account = stack.enter_context(Account.start(programs.sandbox, folder))
    (folder / "later").mkdir()
    rewritten = Account.start(programs.sandbox, folder / "later", USERS, "--rewritten-reports")
    later = stack.enter_context(rewritten)
    postgres = stack.enter_context(Postgres.start(folder / "postgres"))
    return Pipeline(programs, folder, account, later, postgres)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ["tap", "sandbox", "target", "check-tap"]:
        parser.add_argument(f"--{program}", type=Path, required=True)
    programs = parser.parse_args()
    stop_on_signals(TIMEOUT)
    wait_for_day(RUN_TIME)
    checks = Checks(timed=False)
    with contextlib.ExitStack() as stack:
        try:
            pipeline = start(stack, programs)
        except Exception as error:
            print(f"FAILED  to start: {error!r}")
            checks.failed += 1
        else:
            try:
                pipeline.run_all()
            except Exception as error:  # The checks find out which runs there were.
                print(f"stopped: {error}")
            for name, function in CHECKS:
                checks.check(name, function, pipeline)
    return checks.close()


if __name__ == "__main__":
    sys.exit(main())
