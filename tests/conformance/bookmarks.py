"""The bookmarks in a state, which never go back."""

import json

from comparison import parsed_time
from messages import Violation


def marks(state, names):
    """By its path in the state, each member of one of these names."""
    found = {}

    def search(value, path):
        if isinstance(value, dict):
            for name, below in value.items():
                # What the Meltano SDK keeps there becomes a bookmark only at the end of a run.
                if name == "progress_markers":
                    continue
                if name in names and not isinstance(below, (dict, list)):
                    found[f"{path}.{name}"] = below
                else:
                    search(below, f"{path}.{name}")
        elif isinstance(value, list):
            for number, below in enumerate(value):
                context = below.get("context", number) if isinstance(below, dict) else number
                search(below, f"{path}[{json.dumps(context, sort_keys=True)}]")

    search(state, "state")
    return found


def comparable(one, other):
    """Both values in a form that can be compared; none if they have no order that is known."""
    times = parsed_time(one), parsed_time(other)
    if None not in times:
        return times
    if isinstance(one, str) and isinstance(other, str):
        if one.isdecimal() and other.isdecimal():
            return int(one), int(other)
        return (one, other) if times == (None, None) else None
    numbers = all(isinstance(value, (int, float)) for value in (one, other))
    return (one, other) if numbers else None


def check(states, names):
    """Raises if a bookmark goes back from one of these states to the next."""
    before = {}
    for state in states:
        for path, mark in marks(state, names).items():
            pair = comparable(before.get(path), mark)
            if pair and pair[1] < pair[0]:
                raise Violation(f"a bookmark went back: {path} from {before[path]!r} to {mark!r}")
            before[path] = mark
