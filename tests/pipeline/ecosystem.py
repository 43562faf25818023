"""The tap among its neighbours: pip, Meltano, and other targets than the pipeline test's.

`tests/pipeline/ecosystem` starts this with the paths of the programs.
"""

import argparse
import contextlib
import re
import sys
import tempfile
from pathlib import Path

import meltano_project
import outputs
import targets
from checks import Checks, expect
from outputs import Outputs
from processes import stop_on_signals
from servers import Account, Postgres

# The users of the account that the targets load.
USERS = 100
ROOT = Path(__file__).resolve().parents[2]


def start(stack, sandbox):
    """A folder, an account and a PostgreSQL server, which are gone when the stack is closed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecosystem-")))
    folder.chmod(0o711)  # PostgreSQL's user passes through.
    (folder / "postgres").mkdir(mode=0o700)
    account = stack.enter_context(Account.start(sandbox, folder))
    return folder, account, stack.enter_context(Postgres.start(folder / "postgres"))


def check_targets(checks, test, tap, account):
    """What the tap writes, and what each target makes of it."""
    folder = test.folder

    def sync(name, what, **arguments):
        return checks.check(what, lambda: Outputs(tap, account, folder / name, **arguments))

    everything = sync("all", "the tap syncs every stream twice")
    if not everything:
        return
    outputs.check_all(checks, everything)
    loaded = targets.check_all(checks, test, everything, "both outputs")
    # A target that takes a first row for a header does so where the first column is filled.
    slim = sync("slim", "the tap syncs every stream without `_extra`", without=["_extra"])
    if slim:
        kept = targets.check_all(checks, test, slim, "both outputs without `_extra`")
        loaded = [package for package in loaded if package in kept]
    found = sync(
        "by_reports",
        "the tap finds conversations by reports",
        streams=["user_conversations", "conversations", "messages"],
        conversation_discovery="reports",
    )
    if found:
        targets.check_reports(checks, test, found, everything)
    checks.check("the README says which targets load what", readme_names, loaded, everything)


def readme_names(loaded, outputs):
    """The table in the README says of each target what the test saw."""
    text = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|([^|]*\|[^|]*)\|", text, re.MULTILINE))
    every = f"all {len(outputs.streams)}"
    for target in targets.TARGETS:
        file = "" if "meltanolabs-target-postgres" == target.package else f"-{target.package}"
        file = file.replace("-meltanolabs-target-csv", "-target-csv")
        requirements = (ROOT / f"tests/pipeline/requirements{file}.txt").read_text()
        version = re.search(rf"^{target.package}==(.*)$", requirements, re.MULTILINE)[1]
        row = [cell.strip() for cell in rows.get(target.package, "|").split("|")]
        seen = every if target.package in loaded else "not all"
        expect(
            row == [version, seen], f"{target.package}: {row}, and the test saw {version} {seen}"
        )
    requirements = (ROOT / "tests/pipeline/requirements-target-duckdb.txt").read_text()
    version = re.search("^duckdb==(.*)$", requirements, re.MULTILINE)[1]
    expect(f"With DuckDB {version}:" in text, f"the test has DuckDB {version}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tap", type=Path, required=True)
    parser.add_argument("--sandbox", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    arguments = parser.parse_args()
    stop_on_signals()
    checks = Checks()
    programs = {
        target.package: arguments.environments / target.package / "bin" / target.command
        for target in targets.TARGETS
    }
    with contextlib.ExitStack() as stack:
        folder, account, postgres = start(stack, arguments.sandbox)
        meltano = arguments.environments / "meltano" / "bin" / "meltano"
        project = meltano_project.Project(ROOT, meltano, folder, account, postgres)
        project.wheels = arguments.wheels
        meltano_project.check_all(checks, project)
        with Account.start(arguments.sandbox, folder, USERS, "--all-fields") as full:
            test = targets.Test(programs, postgres, folder)
            check_targets(checks, test, arguments.tap, full)
    return checks.close()


if __name__ == "__main__":
    sys.exit(main())
