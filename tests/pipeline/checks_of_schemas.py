"""What must hold of discovery, and of the schemas in the target."""

import json

from checks import check, expect_equal
from streams import DEFAULT_STREAMS, STREAMS
from tables import column_type


@check("discovery names the streams listed here, and selects all but the reports")
def default_selection(pipeline):
    streams = [entry["stream"] for entry in pipeline.catalog["streams"]]
    expect_equal(streams, STREAMS, "streams")
    selected = [name for name in streams if pipeline.metadata(name).get("selected-by-default")]
    expect_equal(selected, DEFAULT_STREAMS, "selected by default")


@check("the target loads the schema of every stream, with a fitting column for each property")
def every_schema_loads(pipeline):
    messages = [
        {
            "type": "SCHEMA",
            "stream": entry["stream"],
            "schema": entry["schema"],
            "key_properties": pipeline.keys(entry["stream"]),
        }
        for entry in pipeline.catalog["streams"]
    ]
    path = pipeline.folder / "schemas.jsonl"
    path.write_text("".join(json.dumps(message) + "\n" for message in messages))
    target = pipeline.target("schemas", schema="discovered")
    exit_codes, _ = pipeline.pipe("schemas", {"cat": ["cat", path], "target": target})
    expect_equal(exit_codes, {"cat": 0, "target": 0}, "exit codes")
    columns = pipeline.postgres.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'discovered'"
    )
    found = {(row["table_name"], row["column_name"]): row["data_type"] for row in columns}
    for message in messages:
        for name, schema in message["schema"]["properties"].items():
            stands_as = found.get((message["stream"], name))
            expect_equal(stands_as, column_type(schema), f"type of {message['stream']}.{name}")
