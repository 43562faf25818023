"""A toy tap for the kit's own test: a sound one, or one with a fault that its config names.

It writes orders, goes by the time of their last change, and writes a STATE after every twenty.
Three orders share each time, so a tap must go by `>=` to lose none.
"""

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
# Records from one STATE to the next.
STEP = 20
SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "changed_at": {"type": "string", "format": "date-time"},
        "note": {"type": ["string", "null"]},
    },
}


def orders(config):
    """What the source has; the number of orders stands in a file, which can be changed."""
    for number in range(int(Path(config["rows"]).read_text())):
        moment = START + timedelta(minutes=number // 3)
        note = "a text, so that lines differ in length" if number % 2 else None
        yield {"id": number, "changed_at": moment.isoformat(), "note": note}


class Toy:
    """A run of the tap."""

    def __init__(self, config, state):
        self.config, self.fault = config, config.get("fault")
        marks = state.get("bookmarks", {}).get("orders", {})
        self.since = marks.get("replication_key_value")
        # The bookmark that the records so far allow.
        self.mark = self.since
        self.stopped = False

    def put(self, **message):
        print(json.dumps(message), flush=True)

    def put_state(self, mark):
        self.put(type="STATE", value={"bookmarks": {"orders": {"replication_key_value": mark}}})

    def put_record(self, record):
        if self.fault == "other key" and self.since:
            record["id"] += 1_000_000
        if self.fault == "wrong type" and record["id"] == 30:
            record["note"] = 5
        if self.fault == "no key" and record["id"] == 30:
            record["id"] = None
        self.put(type="RECORD", stream="orders", record=record)
        if self.fault == "other text" and record["id"] == 30:
            print("thirty so far", flush=True)

    def found(self):
        """The orders that this run is to write."""
        found = list(orders(self.config))
        if self.fault == "no records":
            return []
        if self.fault == "misses one":
            found.pop()
        if self.since is None:
            return found
        if self.fault == "misses what is new":
            return []
        if self.fault == "loses a row":
            return [order for order in found if order["changed_at"] > self.since]
        return [order for order in found if order["changed_at"] >= self.since]

    def sync(self):
        if self.fault != "no schema":
            self.put(type="SCHEMA", stream="orders", schema=SCHEMA, key_properties=["id"])
        found = self.found()
        for first in range(0, len(found), STEP):
            part = found[first : first + STEP]
            if self.fault == "state first":
                self.put_state(part[-1]["changed_at"])
            for record in part:
                if self.stopped:
                    self.stop()
                self.mark = record["changed_at"]
                self.put_record(record)
            self.put_state(self.mark)
            time.sleep(0.005)  # So that there is a run to disturb.
        if self.fault == "goes back":
            self.put_state(START.isoformat())
        sys.exit(3 if self.fault == "exit code" else 0)

    def on_sigterm(self, *_):
        self.stopped = True
        if self.fault == "ignores SIGTERM":
            time.sleep(60)

    def stop(self):
        """Ends on SIGTERM."""
        if self.fault == "stops within a line":
            os.write(1, b'{"type": "REC')
        elif self.fault == "stops without a state":
            self.put_record(next(orders(self.config)))
        else:
            self.put_state(self.mark)
        sys.exit(0 if self.fault == "stops as if complete" else 143)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--truth", action="store_true", help="print the truth")
    options = parser.parse_args()
    config = json.loads(options.config.read_text())
    if options.truth:
        for order in orders(config):
            print(json.dumps({"stream": "orders", "key": {"id": order["id"]}, "record": order}))
        return
    state = json.loads(options.state.read_text()) if options.state else {}
    toy = Toy(config, state)
    signal.signal(signal.SIGTERM, toy.on_sigterm)
    toy.sync()


if __name__ == "__main__":
    main()
