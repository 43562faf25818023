"""A model of a target: what it holds after it has read messages."""

import json


class Target:
    """Tables with upserts by key. A stream without a key gets each different record once: what
    comes again after a kill is no more than the protocol allows."""

    def __init__(self):
        # By stream and key, the record and its version.
        self.tables = {}
        self.keys = {}

    def load(self, messages):
        for message in messages:
            if message["type"] == "SCHEMA":
                self.keys[message["stream"]] = message["key_properties"]
                self.tables.setdefault(message["stream"], {})
            elif message["type"] == "RECORD":
                record = message["record"]
                table = self.tables[message["stream"]]
                table[self._key(message["stream"], record)] = record, message.get("version")
            elif message["type"] == "ACTIVATE_VERSION":
                table, version = self.tables[message["stream"]], message["version"]
                for key in [key for key, row in table.items() if row[1] != version]:
                    del table[key]

    def _key(self, stream, record):
        names = self.keys[stream]
        key = {name: record[name] for name in names} if names else record
        return json.dumps(key, sort_keys=True)

    def copy(self):
        other = Target()
        other.tables = {stream: dict(table) for stream, table in self.tables.items()}
        other.keys = dict(self.keys)
        return other

    def rows(self):
        """By stream and key, the records."""
        return {
            stream: {key: record for key, (record, _) in table.items()}
            for stream, table in self.tables.items()
        }
