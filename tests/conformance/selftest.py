"""The kit's own test: a sound toy tap passes, and each fault of a bad one is found.

`python3 tests/conformance/selftest.py` runs it.
"""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KIT = Path(__file__).resolve().parent
TOY = [sys.executable, str(KIT / "toytap.py"), "--config", "{config}"]
ROWS = 300
# Settings that make the kit look at one thing.
KILLS, STOPS = {"chains": 5}, {"stops": 2}
CHANGE = {"change": ["sh", "-c", f"echo {ROWS + 40} >rows"]}
# By fault of the toy tap, what the kit says of it, and with which settings.
FAULTS = {
    "state first": (": orders: lost ", KILLS),
    "loses a row": (": orders: lost ", KILLS),
    "other key": (": orders: has what the truth lacks: ", KILLS),
    "misses one": ("a target holds the truth after it: orders: lost 1 rows", {}),
    "misses what is new": ("brings what is new: orders: lost ", CHANGE),
    "goes back": ("its bookmarks never go back: a bookmark went back", {}),
    "no records": ("it wrote no records", {}),
    "no schema": ("RECORD of orders before its SCHEMA", {}),
    "no key": ("orders: a record without its key property 'id'", {}),
    "wrong type": ("orders: a record that doesn't fit its schema", {}),
    "other text": ("not JSON", {}),
    "exit code": ("exit code 3", {}),
    "ignores SIGTERM": ("SIGTERM didn't end it within 0.5 s", STOPS | {"grace_seconds": 0.5}),
    "stops within a line": ("the output ends within a line", STOPS),
    "stops without a state": ("SIGTERM, and the last line is no STATE", STOPS),
    "stops as if complete": (": orders: lost ", STOPS),
}


def conformance(folder, fault=None, *options, **settings):
    """The kit's exit code and what it prints about the toy tap with a fault."""
    (folder / "rows").write_text(str(ROWS))
    config = {"rows": str(folder / "rows"), "fault": fault}
    (folder / "config.json").write_text(json.dumps(config))
    description = {
        "command": TOY,
        "config": "config.json",
        "truth": [*TOY[:-1], "config.json", "--truth"],
        "stopped_exit_codes": [143],
        "stopped_with_state": True,
        "chains": 0,
        "stops": 0,
    } | settings
    (folder / "description.json").write_text(json.dumps(description))
    done = subprocess.run(
        [sys.executable, KIT, folder / "description.json", "--seed", "1", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def sound(folder):
    """What is wrong with the kit's judgement of a sound tap; none if it passes."""
    code, text = conformance(folder, **KILLS, **STOPS, **CHANGE)
    passed = code == 0 and "FAILED" not in text and text.endswith(" passed, 0 failed\n")
    return None if passed and "note:" not in text else text


def faulty(folder, fault):
    """Whether a fault is found, by the message that is meant for it."""
    words, settings = FAULTS[fault]
    code, text = conformance(folder, fault, **settings)
    found = any(words in line for line in text.splitlines() if line.startswith("FAILED"))
    return None if code == 1 and found else text


def replayed(folder):
    """A check that failed fails again by itself."""
    _, whole = conformance(folder, "state first", **KILLS)
    failed = next(line for line in whole.splitlines() if line.startswith("FAILED  kills"))
    start = failed[: failed.index(": orders: lost")]
    name = start.removeprefix("FAILED  ")
    code, alone = conformance(folder, "state first", "--only", name, **KILLS)
    again = code == 1 and start in alone and alone.endswith("\n3 passed, 1 failed\n")
    return None if again else f"{whole}\n-- replayed:\n{alone}"


def counted(folder):
    """A truth of counts alone is held against the tap too."""
    truth = folder / "truth.jsonl"
    texts = []
    for count, expected in [(ROWS, 0), (ROWS + 1, 1)]:
        truth.write_text(json.dumps({"stream": "orders", "count": count}))
        code, text = conformance(folder, truth=truth.name)
        texts += [text] if code != expected else []
    return "\n".join(texts) or None


def mistaken(folder):
    """A setting that doesn't exist is named, and a command that can't be run fails."""
    texts = []
    for settings, word in [({"chain": 1}, "chain"), ({"command": ["/none"]}, "/none")]:
        code, text = conformance(folder, **settings)
        texts += [text] if code != 1 or word not in text else []
    return "\n".join(texts) or None


def main():
    tests = {
        "a sound tap passes": (sound,),
        "a failure can be replayed alone": (replayed,),
        "counts are compared": (counted,),
        "a mistake in the description is told": (mistaken,),
    }
    tests |= {f"found: {fault}": (faulty, fault) for fault in FAULTS}

    def run(name):
        with tempfile.TemporaryDirectory(prefix="selftest-") as folder:
            function, *arguments = tests[name]
            return function(Path(folder), *arguments)

    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, problem in zip(tests, pool.map(run, tests), strict=True):
            print(f"FAILED  {name}" if problem else f"ok      {name}", flush=True)
            if problem:
                print(*problem.splitlines(), sep="\n          ")
                failed += 1
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
