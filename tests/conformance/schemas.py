"""Whether a record fits its schema."""

import functools

try:
    import jsonschema
except ImportError:
    jsonschema = None

TYPES = {
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: is_number(value) and value == int(value),
    "number": lambda value: is_number(value),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def checker(schema):
    """A function of a record: what is wrong with it, or none. It is jsonschema's judgement where
    that is installed, and otherwise a smaller one: of types and of required properties."""
    if jsonschema is None:
        return functools.partial(problem, schema)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)

    def first_problem(record):
        for error in validator.iter_errors(record):
            path = ".".join(str(part) for part in error.absolute_path)
            return f"{path}: {error.message[:200]}" if path else error.message[:200]
        return None

    return first_problem


def problem(schema, value, path=""):
    """What is wrong with a value, by its types and its required properties."""
    if not isinstance(schema, dict):
        return None
    for word in ("anyOf", "oneOf"):
        if word in schema and all(problem(part, value, path) for part in schema[word]):
            return f"{path}: {value!r:.100} fits nothing of {word}"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(TYPES[name](value) for name in types if name in TYPES):
        return f"{path}: {value!r:.100} is not {' or '.join(types)}"
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                return f"{path}: {name!r} is missing"
        for name, below in schema.get("properties", {}).items():
            if name in value and (found := problem(below, value[name], f"{path}.{name}")):
                return found
    if isinstance(value, list):
        for number, part in enumerate(value):
            if found := problem(schema.get("items"), part, f"{path}[{number}]"):
                return found
    return None
