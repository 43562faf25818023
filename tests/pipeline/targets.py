"""The tap's output in other targets: which of them load which streams, and whether they keep
every value.

The tap syncs a simulated account twice; each target loads both outputs, one after the other. What
it stored is read back and compared with the records, property by property.
"""

import csv
import dataclasses
import json
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from checks import expect, expect_equal
from outputs import messages, write
from processes import ENVIRONMENT, quiet
from streams import EMPTY

# Reads a DuckDB file with the target's own library.
DUMP_DUCKDB = """
import json, sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for stream in sys.argv[2:]:
    cursor = connection.execute(f'SELECT * FROM freshchat."{stream}"')
    names = [column[0] for column in cursor.description]
    for row in cursor.fetchall():
        print(json.dumps([stream, dict(zip(names, row))], default=str))
"""


def as_json(value, found):
    """Whether an object or array is stored as it is, or in texts."""

    def read(found):
        if isinstance(found, list):
            return [read(part) for part in found]
        try:
            return json.loads(found) if isinstance(found, str) else found
        except ValueError:
            return found

    return value in (found, read(found))


def in_python(value, found):
    """Whether an object or array is stored in the notation of Python, decimals too."""
    return found == str(json.loads(json.dumps(value), parse_float=Decimal))


@dataclasses.dataclass
class Target:
    """A target under test."""

    # The package, whose requirements file has this name too.
    package: str
    # Its command.
    command: str
    # Of the targets, the test, the folder: the config.
    config: object
    # Of the same and the streams: pairs of a stream and a stored row.
    rows: object
    # Whether rows of a known key are replaced.
    upserts: bool = True
    # What it is known to make of a text.
    text: object = str
    # What it stores for no value, and for an empty text.
    null: object = None
    empty: object = ""
    # Of a value and what is stored: whether an object or array has its known form.
    nested: object = as_json


# ---- The targets ----


def postgres_config(test, folder, name="dbname", **others):
    settings = test.postgres.settings
    return settings | {name: "postgres", "default_target_schema": folder.name} | others


def postgres_rows(test, folder, streams):
    schema = folder.name
    for stream in streams:
        for row in test.postgres.rows(f'SELECT * FROM "{schema}"."{stream}"'):
            yield stream, row


def escaped(text):
    """A text as pipelinewise-target-postgres stores it: with line breaks and tabs as escapes."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def jsonl_rows(test, folder, streams):
    # The files' names end with the time.
    for path in sorted(folder.glob("*.jsonl")):
        for row in messages(path):
            yield path.stem.split("-", 1)[0], row


def csv_rows(test, folder, streams):
    csv.field_size_limit(sys.maxsize)
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                yield path.stem.split("-", 1)[0], row


def duckdb_rows(test, folder, streams):
    python = test.programs["target-duckdb"].parent / "python"
    command = [python, "-c", DUMP_DUCKDB, folder / "account.duckdb", *streams]
    for line in quiet(command, cwd=folder).splitlines():
        yield json.loads(line)


TARGETS = [
    Target(
        "meltanolabs-target-postgres",
        "target-postgres",
        lambda test, folder: postgres_config(test, folder, "database"),
        postgres_rows,
    ),
    Target(
        "pipelinewise-target-postgres",
        "target-postgres",
        postgres_config,
        postgres_rows,
        text=escaped,
        empty=None,
    ),
    Target(
        "target-duckdb",
        "target-duckdb",
        lambda test, folder: {
            "path": str(folder / "account.duckdb"),
            "default_target_schema": "freshchat",
        },
        duckdb_rows,
        empty=None,
    ),
    Target(
        "target-jsonl",
        "target-jsonl",
        lambda test, folder: {"destination_path": str(folder)},
        jsonl_rows,
        upserts=False,
    ),
    Target(
        "meltanolabs-target-csv",
        "target-csv",
        # Otherwise a run replaces the files of the one before.
        lambda test, folder: {
            "output_path": str(folder),
            "file_naming_scheme": "{stream_name}-{timestamp}.csv",
        },
        csv_rows,
        upserts=False,
        null="",
        nested=in_python,
    ),
]


# ---- The checks ----


@dataclasses.dataclass
class Test:
    """What the checks need: the targets' commands by package, PostgreSQL, and a folder."""

    programs: dict
    postgres: object
    folder: Path


def check_all(checks, test, outputs, what):
    """All checks of all targets; the packages of those that loaded everything."""
    return [target.package for target in TARGETS if check(checks, test, target, outputs, what)]


def check(checks, test, target, outputs, what):
    """Whether a target loads both outputs, and keeps all of them."""
    # PostgreSQL has schemas of these names.
    folder = test.folder / f"{target.package}_{outputs.folder.name}".replace("-", "_")
    folder.mkdir()
    name = target.package
    ran = checks.check(f"{name} loads {what}", load, test, target, outputs, folder)
    return ran and checks.check(
        f"{name} keeps every record and value of it", kept_all, test, target, outputs, folder
    )


def check_reports(checks, test, outputs, by_users):
    """Conversations that were found by reports are the same in a target."""
    checks.check("the reports name every conversation", same_records, outputs, by_users)
    check(checks, test, TARGETS[0], outputs, "what was found by reports")


def same_records(outputs, by_users):
    """Each record has its twin in the other outputs, but for the unknown fields of the lists that
    reports do without."""
    for stream in outputs.streams:
        own, others = (
            {key(all_of, stream, record): record for record in all_of.written(stream)}
            for all_of in (outputs, by_users)
        )
        expect_equal(len(own), len(others), f"{stream}: records")
        for name, record in own.items():
            found = record | {"_extra": None}
            expect_equal(found, others[name] | {"_extra": None}, f"{stream} {name}")


def load(test, target, outputs, folder):
    """Feeds the target both outputs; its last line is the last state."""
    config = write(folder / "target.json", target.config(test, folder))
    for path, state in zip(outputs.paths, outputs.states, strict=True):
        log = folder / f"{path.stem}.log"
        with path.open("rb") as records, log.open("wb") as errors:
            done = subprocess.run(
                [test.programs[target.package], "--config", config],
                cwd=folder,
                env=ENVIRONMENT,
                stdin=records,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        end = log.read_text()[-1500:]
        expect(done.returncode == 0, f"{path.name}: exit code {done.returncode}\n{end}")
        printed = done.stdout.decode().splitlines()
        expect_equal(json.loads((printed or ["null"])[-1]), state, f"{path.name}: state")
    return True


def kept_all(test, target, outputs, folder):
    """What is stored is what the tap wrote."""
    stored = defaultdict(list)
    for stream, row in target.rows(test, folder, outputs.streams):
        row = {name.lower(): value for name, value in row.items()}
        stored[stream].append(row)
    for stream in outputs.streams:
        written = outputs.written(stream)
        latest = {key(outputs, stream, record): record for record in written}
        expect(latest or stream in EMPTY, f"{stream}: the tap wrote nothing")
        expected = len(latest) if target.upserts else len(written)
        expect_equal(len(stored[stream]), expected, f"{stream}: rows")
        # Of a repeated key, files have the last one last too.
        rows = {key(outputs, stream, row): row for row in stored[stream]}
        for own, record in latest.items():
            expect(own in rows, f"{stream}: no row for {own}")
            for name, value in record.items():
                expect(name.lower() in rows[own], f"{stream}: no column for {name}")
                found = rows[own][name.lower()]
                text = f"{stream}.{name} of {own}: {found!r} for {value!r}"
                expect(same(target, value, found), text)
    return True


def key(outputs, stream, row):
    """The key of a record or a row, in a form that is the same for both."""
    return tuple(plain(row[name]) for name in outputs.keys[stream])


def same(target, value, found):
    """Whether a stored value is the record's, in whatever type the target has for it."""
    if value is None:
        return found == target.null
    if value == "":
        return found == target.empty
    if found is None:
        return False
    if isinstance(value, (dict, list)):
        return target.nested(value, found)
    if isinstance(value, bool):
        return str(found).lower() == str(value).lower()
    if isinstance(value, str):
        return plain(found) == plain(target.text(value))
    return Decimal(str(found)) == Decimal(str(value))


def plain(value):
    """A text that is the same for a value and for what a target makes of it, times above all."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", value):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        zone = value.tzinfo or UTC
        return value.replace(tzinfo=zone).astimezone(UTC).isoformat()
    return str(value)
