"""The target's tables: types of columns, rows, and the times in them."""

from datetime import datetime

from streams import ADDED_COLUMNS

SCHEMA = "freshchat"
# By column type, a key's value that no record of the account has.
GONE = {"text": "gone", "bigint": -1, "timestamp without time zone": datetime(1970, 1, 1)}


def column_type(schema):
    """The SQL type for a property's values."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if schema.get("format") == "date-time":
        return "timestamp without time zone"
    name, *others = set(types) - {"null"}
    if others:
        return "jsonb"
    return {
        "string": "text",
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "object": "jsonb",
        "array": "ARRAY",
    }[name]


def time(text):
    return datetime.fromisoformat(text)


def own_columns(stream, row):
    """A row without what the target adds, and what the tap fills by itself."""
    added = ADDED_COLUMNS.get(stream, ())
    return {
        name: value
        for name, value in row.items()
        if not name.startswith("_sdc_") and name not in added
    }


def key_of(row, keys):
    return tuple(row[key] for key in keys)


def content(stream, rows):
    return sorted(repr(own_columns(stream, row)) for row in rows if not is_of_the_moment(row))


def is_of_the_moment(row):
    """Whether it is a metric's value at the time of a run: each run adds one."""
    return row.get("interval") == "none" and row.get("x_time") is not None
