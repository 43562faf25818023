"""Reads a run's lines as Singer messages, and holds each to the protocol."""

import json

from schemas import checker


class Violation(Exception):
    """The tap broke a rule."""


def read(output, sound):
    """The messages of a run's whole lines, each of them checked. `sound` has the lines that were
    found to fit their schema in other runs, which is most of the work; it grows."""
    reader = Reader(sound)
    for number, line in enumerate(output.lines, 1):
        try:
            reader.read(line)
        except Violation as violation:
            raise Violation(f"line {number}: {violation}\n{line[:300]!r}") from None
    return reader.messages


class Reader:
    """The messages of one run so far."""

    def __init__(self, sound):
        self.messages = []
        self.sound = sound
        # By stream, what follows from its last SCHEMA, and that SCHEMA's line.
        self.keys, self.checkers, self.schemas = {}, {}, {}

    def read(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            raise Violation("not JSON") from None
        kind = message.get("type") if isinstance(message, dict) else None
        checks = {
            "SCHEMA": self._schema,
            "RECORD": self._record,
            "STATE": self._state,
            "ACTIVATE_VERSION": self._activate_version,
        }
        if kind == "BATCH":
            raise Violation("the kit doesn't read BATCH messages; let the tap write RECORDs")
        if kind not in checks:
            raise Violation(f"no message that Singer knows: type {kind!r}")
        checks[kind](message, line)
        self.messages.append(message)

    def _schema(self, message, line):
        stream = member(message, "stream", str)
        schema = member(message, "schema", dict)
        keys = member(message, "key_properties", list)
        for key in keys:
            if key not in schema.get("properties", {}):
                raise Violation(f"{stream}: the key property {key!r} is not in the schema")
        self.keys[stream], self.schemas[stream] = keys, line
        self.checkers[stream] = checker(schema)

    def _record(self, message, line):
        stream = self._announced(message)
        record = member(message, "record", dict)
        for key in self.keys[stream]:
            if record.get(key) is None:
                raise Violation(f"{stream}: a record without its key property {key!r}")
        known = hash((self.schemas[stream], line))
        if known not in self.sound:
            if problem := self.checkers[stream](record):
                raise Violation(f"{stream}: a record that doesn't fit its schema: {problem}")
            self.sound.add(known)

    def _state(self, message, _):
        member(message, "value", dict)

    def _activate_version(self, message, _):
        self._announced(message)
        member(message, "version", int)

    def _announced(self, message):
        stream = member(message, "stream", str)
        if stream not in self.keys:
            raise Violation(f"{message['type']} of {stream} before its SCHEMA")
        return stream


def member(message, name, kind):
    value = message.get(name)
    if not isinstance(value, kind):
        raise Violation(f"{message['type']} with the {name} {value!r:.100}")
    return value


def last_state(messages):
    """The number of messages up to the last STATE and with it, and its value; 0 and none without
    a STATE."""
    for number in range(len(messages), 0, -1):
        if messages[number - 1]["type"] == "STATE":
            return number, messages[number - 1]["value"]
    return 0, None
