"""Kills a Singer tap anywhere, resumes it, and compares what a target holds with the truth.

`python3 tests/conformance DESCRIPTION` runs it; README.md explains the description.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from checks import Checks
from description import BadDescription, Description
from report import Report
from tap import Tap


def arguments():
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__.splitlines()[0])
    parser.add_argument("description", type=Path, help="TOML or JSON; README.md explains it")
    parser.add_argument("--seed", type=int, help="what the places of kills follow from")
    parser.add_argument("--only", metavar="CHECK", help="one check of those that the seed drives")
    return parser.parse_args()


def drawn(description, seed, only):
    """By kind, the checks that draw from the seed, each with its random numbers."""
    counts = {"kills": description.chains, "stop": description.stops}
    if description.change:
        counts["kills after the change"] = description.chains
    checks = {
        kind: {
            name: random.Random(f"{seed} {name}")
            for name in (f"{kind} {number}" for number in range(1, count + 1))
            if only in (None, name)
        }
        for kind, count in counts.items()
    }
    if only and not any(checks.values()):
        raise BadDescription(f"{only!r} is not a check that the seed drives")
    return checks


def run(description, seed, only, folder, report):
    chances = drawn(description, seed, only)
    checks = Checks(description, Tap(description, folder), report)
    if not checks.undisturbed():
        return
    if only is None:
        checks.again()
    for name, chance in chances["kills"].items():
        checks.killed(name, chance)
    for name, chance in chances["stop"].items():
        checks.stopped(name, chance)
    after = chances.get("kills after the change", {})
    if after or (description.change and only is None):
        checks.changed(after)
    if not report.resumed and not report.failures:
        print("note: no run was resumed from a STATE; a larger source may have the tap write some")


def main():
    chosen = arguments()
    seed = random.randrange(1 << 32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    report = Report()
    try:
        description = Description.read(chosen.description)
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            run(description, seed, chosen.only, Path(folder), report)
    except (BadDescription, OSError) as error:
        print(f"FAILED  to start: {error}")
        report.failures.append("start")
    if report.failures:
        print(f"to replay: --seed {seed}; with --only '{report.failures[0]}', that check alone")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
