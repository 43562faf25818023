"""The tap among its neighbours: pip, Meltano, and other targets than the pipeline test's.

`tests/pipeline/ecosystem` starts this with the paths of the programs.
"""

import argparse
import contextlib
import re
import signal
import sys
import tempfile
from pathlib import Path

import meltano_project
import targets
from checks import Checks
from run import Account, Postgres, expect, stop

ROOT = Path(__file__).resolve().parents[2]


def start(stack, sandbox):
    """A folder, an account and a PostgreSQL server, which are gone when the stack is closed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecosystem-")))
    folder.chmod(0o711)  # PostgreSQL's user passes through.
    (folder / "postgres").mkdir(mode=0o700)
    account = stack.enter_context(Account.start(sandbox, folder))
    return folder, account, stack.enter_context(Postgres.start(folder / "postgres"))


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tap", type=Path, required=True)
    parser.add_argument("--sandbox", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    arguments = parser.parse_args()
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
        signal.signal(number, stop)
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
        outputs = checks.check(
            "the tap syncs every stream twice", targets.Outputs, arguments.tap, account, folder
        )
        if outputs:
            test = targets.Test(programs, postgres, outputs, folder)
            loaded = targets.check_all(checks, test)
            checks.check("the README says which targets load what", readme_names, loaded, outputs)
    return checks.close()


if __name__ == "__main__":
    sys.exit(main())
