"""Compares what a target holds with the truth, and with what another one holds."""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime

from messages import Violation

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
# How many rows a complaint shows.
SHOWN = 3


def parsed_time(text):
    """The time that a text stands for, if it is one; without a zone it counts as UTC."""
    if isinstance(text, str) and TIME.match(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return None


def plain(value):
    """A value in a form that doesn't depend on how a time or a number is written."""
    if isinstance(value, dict):
        return {name: plain(below) for name, below in value.items()}
    if isinstance(value, list):
        return [plain(below) for below in value]
    if moment := parsed_time(value):
        return moment.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def plain_key(key):
    return json.dumps(plain(key), sort_keys=True)


class Truth:
    """What the truth says of each stream."""

    def __init__(self, lines):
        # By stream and key, the record, or none where the truth has the key alone.
        self.rows = defaultdict(dict)
        self.counts = {}
        for line in lines:
            if "count" in line:
                self.counts[line["stream"]] = line["count"]
            else:
                self.rows[line["stream"]][plain_key(line["key"])] = line.get("record")

    def compare(self, description, target):
        """Raises if a stream of the truth is not what the target holds."""
        problems = []
        held = target.rows()
        for stream, count in self.counts.items():
            found = len(held.get(stream, {}))
            if not description.ignores(stream) and found != count:
                problems.append(f"{stream}: {found} rows, and the truth has {count}")
        for stream, rows in self.rows.items():
            if description.ignores(stream):
                continue
            keys = target.keys.get(stream)
            if not keys:
                problems.append(f"{stream}: no SCHEMA, or none with the key that the truth goes by")
                continue
            own = {
                plain_key({name: record[name] for name in keys}): record
                for record in held[stream].values()
            }
            if len(own) != len(held[stream]):
                problems.append(f"{stream}: keys that differ only in how a time is written")
            problems += differences(stream, own, rows, self._differs(description, stream))
        report(problems)

    @staticmethod
    def _differs(description, stream):
        def differs(found, expected):
            """The properties of the truth's record that the row has otherwise."""
            return [
                name
                for name, value in (expected or {}).items()
                if not description.ignores(f"{stream}.{name}")
                and (name not in found or plain(found[name]) != plain(value))
            ]

        return differs


def compare(description, target, expected):
    """Raises if a target doesn't hold what another one does."""
    problems = []
    held = target.rows()
    for stream, rows in expected.rows().items():
        if description.ignores(stream):
            continue

        def differs(found, row, stream=stream):
            names = sorted(found.keys() | row.keys())
            return [
                name
                for name in names
                if found.get(name) != row.get(name) and not description.ignores(f"{stream}.{name}")
            ]

        problems += differences(stream, held.get(stream, {}), rows, differs)
    for stream in held.keys() - expected.rows().keys():
        if not description.ignores(stream):
            problems.append(f"{stream}: a stream that an undisturbed run doesn't have")
    report(problems)


def differences(stream, found, expected, differs):
    """What is wrong with a stream's rows, by key."""
    problems = []
    if missing := [key for key in expected if key not in found]:
        problems.append(f"{stream}: lost {some(missing)}")
    if unknown := [key for key in found if key not in expected]:
        problems.append(f"{stream}: has what the truth lacks: {some(unknown)}")
    changed = []
    for key in found.keys() & expected.keys():
        if names := differs(found[key], expected[key]):
            changed.append(f"{key} in {', '.join(names)}")
    if changed:
        problems.append(f"{stream}: other values: {some(sorted(changed))}")
    return problems


def some(rows):
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"{len(rows)} rows: " + ", ".join(rows[:SHOWN]) + more


def report(problems):
    if problems:
        raise Violation("\n".join(problems))
