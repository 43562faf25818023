"""The tap's output in other targets: which of them load which streams, and whether they keep
every value.

The tap syncs every stream of a simulated account twice; each target loads both outputs, one after
the other. What it stored is read back and compared with the records, property by property.
"""

import ast
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

from run import ENVIRONMENT, expect, expect_equal, quiet

# Reads a DuckDB file with the target's own library.
DUMP_DUCKDB = """
import json, sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for stream in sys.argv[2:]:
    for (row,) in connection.execute(f'SELECT to_json(t) FROM freshchat."{stream}" t').fetchall():
        print(json.dumps([stream, json.loads(row)]))
"""


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


class Outputs:
    """What the tap wrote in two runs, of which the second goes on from the first."""

    def __init__(self, tap, account, folder):
        self.folder = folder
        catalog = json.loads(quiet([tap, "--discover"], cwd=folder))
        for entry in catalog["streams"]:
            entry["selected"] = True
        self.streams = [entry["stream"] for entry in catalog["streams"]]
        self.schemas = {entry["stream"]: entry["schema"] for entry in catalog["streams"]}
        self.keys = {entry["stream"]: entry["key_properties"] for entry in catalog["streams"]}
        write(folder / "catalog.json", catalog)
        self.paths, self.states = [], []
        self.run(tap, account.config, [])
        state = write(folder / "state.json", self.states[0])
        later = account.config | {"emit_activate_version_messages": True}
        self.run(tap, later, ["--state", state])
        self.records = [self.read(path) for path in self.paths]

    def run(self, tap, config, arguments):
        number = len(self.paths) + 1
        config = write(self.folder / f"config-{number}.json", config)
        path = self.folder / f"output-{number}.jsonl"
        command = [tap, "--config", config, "--catalog", self.folder / "catalog.json", *arguments]
        with path.open("wb") as output, (self.folder / f"tap-{number}.log").open("wb") as log:
            done = subprocess.run(
                command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            )
        if done.returncode != 0:
            raise RuntimeError((self.folder / f"tap-{number}.log").read_text()[-2000:])
        self.paths.append(path)
        self.states.append([m["value"] for m in messages(path) if m["type"] == "STATE"][-1])

    def read(self, path):
        records = defaultdict(list)
        for message in messages(path):
            if message["type"] == "RECORD":
                records[message["stream"]].append(message["record"])
        return records

    def key(self, stream, row):
        """The key of a record or a row, in a form that is the same for both."""
        return tuple(plain(row[name]) for name in self.keys[stream])


def messages(path):
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def write(path, document):
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


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
    ),
    Target(
        "target-duckdb",
        "target-duckdb",
        lambda test, folder: {
            "path": str(folder / "account.duckdb"),
            "default_target_schema": "freshchat",
        },
        duckdb_rows,
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
    ),
]


# ---- The checks ----


@dataclasses.dataclass
class Test:
    """What the checks need: the targets' commands by package, PostgreSQL, and the outputs."""

    programs: dict
    postgres: object
    outputs: Outputs
    folder: Path


def check_all(checks, test):
    """All checks; the names and versions of the targets that loaded everything."""
    checks.check("nothing in the output is a known trap of a target", no_traps, test.outputs)
    loaded = []
    for target in TARGETS:
        folder = test.folder / target.package.replace("-", "_")
        folder.mkdir()
        name = target.package
        ran = checks.check(f"{name} loads both outputs", load, test, target, folder)
        if not ran:
            continue
        kept = checks.check(f"{name} keeps every record and value", kept_all, test, target, folder)
        if kept:
            loaded.append(name)
    return loaded


def load(test, target, folder):
    """Feeds the target both outputs; its last line is the last state."""
    config = write(folder / "target.json", target.config(test, folder))
    for path, state in zip(test.outputs.paths, test.outputs.states, strict=True):
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


def kept_all(test, target, folder):
    """What is stored is what the tap wrote."""
    outputs = test.outputs
    stored = defaultdict(list)
    for stream, row in target.rows(test, folder, outputs.streams):
        row = {name.lower(): value for name, value in row.items()}
        stored[stream].append(row)
    for stream in outputs.streams:
        written = [record for records in outputs.records for record in records[stream]]
        latest = {outputs.key(stream, record): record for record in written}
        expect(latest, f"{stream}: the tap wrote nothing")
        expected = len(latest) if target.upserts else len(written)
        expect_equal(len(stored[stream]), expected, f"{stream}: rows")
        # Of a repeated key, files have the last one last too.
        rows = {outputs.key(stream, row): row for row in stored[stream]}
        for key, record in latest.items():
            expect(key in rows, f"{stream}: no row for {key}")
            for name, value in record.items():
                expect(name.lower() in rows[key], f"{stream}: no column for {name}")
                found = rows[key][name.lower()]
                if isinstance(value, str):
                    value = target.text(value)
                expect(same(value, found), f"{stream}.{name} of {key}: {found!r} for {value!r}")
    return True


def no_traps(outputs):
    """Nothing that is known to make a target lose or refuse something."""
    for stream in outputs.streams:
        expect("-" not in stream, f"{stream}: a hyphen renames its table")
        for path, schema in nodes(outputs.schemas[stream], stream):
            expect(schema.get("additionalProperties") is not False, f"{path}: closed")
            expect("enum" not in schema, f"{path}: an enum")
            expect(schema.get("type"), f"{path}: no type")
            names = [name.lower() for name in schema.get("properties", {})]
            expect_equal(len(set(names)), len(names), f"{path}: names that differ in case")
        for record in (record for records in outputs.records for record in records[stream]):
            expect(record.keys() <= outputs.schemas[stream]["properties"].keys(), f"{stream}: keys")
            key = outputs.key(stream, record)
            expect("" not in key and "null" not in key, f"{stream}: an empty key {key}")
            for name, schema in outputs.schemas[stream]["properties"].items():
                value = record[name]
                if "integer" in schema["type"]:
                    expect(value is None or type(value) is int, f"{stream}.{name}: {value!r}")
                if schema.get("format") == "date-time":
                    expect(value is None or value.endswith("Z"), f"{stream}.{name}: {value!r}")


def nodes(schema, path):
    """A schema and those below it."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def same(value, found):
    """Whether a stored value is the record's, in whatever type the target has for it."""
    if value is None or value == "":
        return found is None or found == ""
    if isinstance(value, (dict, list)):
        return value in (found, nested(found))
    if isinstance(value, bool):
        return str(found).lower() == str(value).lower()
    if isinstance(value, str):
        return found == value or plain(found) == plain(value)
    return Decimal(str(found)) == Decimal(str(value))


def nested(found):
    """An object or array, as it is or in a text."""
    if isinstance(found, list):
        return [nested(part) if isinstance(part, str) else part for part in found]
    if not isinstance(found, str):
        return found
    try:
        return json.loads(found)
    except ValueError:
        return literal(found)


def literal(text):
    """Python's notation, which the CSV target writes; any other text is itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def plain(value):
    """A text that is the same for a value and for what a target makes of it, times above all."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", value):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        zone = value.tzinfo or UTC
        return value.replace(tzinfo=zone).astimezone(UTC).isoformat()
    return str(value)
