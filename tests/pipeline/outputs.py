"""What the tap writes for the targets to load, and what must hold of it before they do."""

import copy
import json
import subprocess
from collections import defaultdict

from checks import expect, expect_equal
from processes import ENVIRONMENT, quiet
from streams import EMPTY


class Outputs:
    """What the tap wrote in two runs, of which the second goes on from the first."""

    def __init__(self, tap, account, folder, streams=None, without=(), **settings):
        """Of these streams, or else of all, and without these properties."""
        folder.mkdir()
        self.folder = folder
        catalog = json.loads(quiet([tap, "--discover"], cwd=folder))
        for entry in catalog["streams"]:
            entry["selected"] = streams is None or entry["stream"] in streams
            for part in entry["metadata"]:
                if part["breadcrumb"][1:] and part["breadcrumb"][1] in without:
                    part["metadata"]["selected"] = False
        write(folder / "catalog.json", catalog)
        self.paths, self.states = [], []
        self.run(tap, account.config | settings, [])
        state = write(folder / "state.json", self.states[0])
        later = account.config | settings | {"emit_activate_version_messages": True}
        self.run(tap, later, ["--state", state])
        schemas = [m for m in messages(self.paths[0]) if m["type"] == "SCHEMA"]
        self.streams = list(dict.fromkeys(message["stream"] for message in schemas))
        self.schemas = {message["stream"]: message["schema"] for message in schemas}
        self.keys = {message["stream"]: message["key_properties"] for message in schemas}
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

    def written(self, stream):
        """The records of both runs."""
        return [record for records in self.records for record in records[stream]]


def messages(path):
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def write(path, document):
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


# ---- The checks ----


def check_all(checks, outputs):
    checks.check("the output has a value for each nested column", all_filled, outputs)
    checks.check("nothing in the output is a known trap of a target", no_traps, outputs)
    checks.check("an empty key would be found", empty_keys_are_found, outputs)


def all_filled(outputs):
    """The targets get to see a value of each nested column and of each one of messages, decimals
    in them, and an `_extra` in the first record of each stream, as after a change of the API."""
    for stream in outputs.streams:
        if stream in EMPTY:
            continue
        first, *_ = records = outputs.records[0][stream]
        expect(first["_extra"], f"{stream}: the first record has no `_extra`")
        for name, schema in outputs.schemas[stream]["properties"].items():
            if stream == "messages" or {"object", "array"} & set(schema["type"]):
                values = [record[name] for record in records]
                expect(any(v not in (None, "", [], {}) for v in values), f"{stream}.{name}: none")
    user, message = (outputs.records[0][name][0] for name in ("users", "outbound_messages"))
    expect_equal(user["_extra"]["new_object"]["points"], [1, 2.35, None], "a list with a decimal")
    expect_equal(message["metrics"], {"read": 1, "rate": 0.35}, "an object with a decimal")


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
        for record in outputs.written(stream):
            expect(record.keys() <= outputs.schemas[stream]["properties"].keys(), f"{stream}: keys")
            key = [record[name] for name in outputs.keys[stream]]
            expect(None not in key and "" not in key, f"{stream}: an empty key {key}")
            for name, schema in outputs.schemas[stream]["properties"].items():
                value = record[name]
                if "integer" in schema["type"]:
                    expect(value is None or type(value) is int, f"{stream}.{name}: {value!r}")
                if schema.get("format") == "date-time":
                    expect(value is None or value.endswith("Z"), f"{stream}.{name}: {value!r}")


def empty_keys_are_found(outputs):
    for empty in [None, ""]:
        record = outputs.records[0]["messages"][0] | {"id": empty}
        changed = copy.copy(outputs)
        changed.records = [outputs.records[0] | {"messages": [record]}]
        try:
            no_traps(changed)
        except AssertionError as error:
            expect("messages: an empty key" in str(error), str(error))
        else:
            raise AssertionError(f"no complaint about the key {empty!r}")


def nodes(schema, path):
    """A schema and those below it."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
