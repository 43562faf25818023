"""What must hold of the tables after the first run."""

import json
from collections import Counter
from datetime import UTC, datetime

from checks import check, expect, expect_equal
from servers import USERS
from streams import COMPARED, EMPTY, STREAMS, UNCOUNTED
from tables import SCHEMA, key_of, own_columns, time


@check("first run: each table has as many rows as the account has records")
def row_counts(pipeline):
    run = pipeline.run("first")
    for stream in STREAMS:
        expected = pipeline.account.counts.get(stream, 0)
        if stream in UNCOUNTED:
            keys = pipeline.keys(stream)
            records = run.records(stream)
            expected = len({key_of(record, keys) for record in records})
        expect(expected or stream in EMPTY, f"{stream}: the account has no records")
        expect_equal(len(run.tables[stream]), expected, f"{stream}: rows")


@check("first run: keys are unique, and never null or empty")
def keys(pipeline):
    for stream in STREAMS:
        rows = pipeline.run("first").tables[stream]
        keys = [key_of(row, pipeline.keys(stream)) for row in rows]
        empty = [key for key in keys if None in key or "" in key]
        expect(not empty, f"{stream}: {len(empty)} keys with an empty part")
        expect_equal(len(set(keys)), len(rows), f"{stream}: different keys")


@check("first run: every property of the account has its column, so nothing is in _extra")
def nothing_extra(pipeline):
    for stream in STREAMS:
        for row in pipeline.run("first").tables[stream]:
            expect(row["_extra"] is None, f"{stream}: {row['_extra']}")


@check("first run: rows equal the API's records, times as the same instant in UTC")
def rows_equal_records(pipeline):
    times = 0
    for stream, filters in COMPARED.items():
        records = pipeline.account.records(stream, filters)
        rows = {row["id"]: row for row in pipeline.run("first").tables[stream]}
        missing, unknown = records.keys() - rows.keys(), rows.keys() - records.keys()
        expect(not missing and not unknown, f"{stream}: no row for {missing}, rows for {unknown}")
        for identifier, record in records.items():
            row = own_columns(stream, rows[identifier])
            for name, value in record.items():
                if isinstance(row.get(name), datetime):
                    value = time(value).astimezone(UTC).replace(tzinfo=None)
                    times += 1
                elif isinstance(row.get(name), str) and not isinstance(value, str):
                    value = json.dumps(value)  # A text column takes numbers and booleans too.
                expect(name in row, f"{stream}: no column {name}")
                expect_equal(row[name], value, f"{stream}.{name} of {identifier}")
            rest = {name: row[name] for name in row.keys() - record.keys()}
            expect(not any(rest.values()), f"{stream} {identifier}: from nowhere: {rest}")
    expect(times >= 2 * USERS, f"only {times} times compared")


@check("nested objects and arrays can be queried as JSON")
def json_queries(pipeline):
    users = pipeline.account.records("users", COMPARED["users"]).values()
    urls = sum("url" in user.get("avatar", {}) for user in users)
    (row,) = pipeline.postgres.rows(
        f"SELECT count(*) AS users FROM {SCHEMA}.users WHERE avatar ->> 'url' LIKE 'http%%'"
    )
    expect_equal(row["users"], urls, "users with a picture")
    sites = Counter(
        part["value"]
        for user in users
        for part in user.get("properties", [])
        if part["name"] == "fc_user_timezone"
    )
    rows = pipeline.postgres.rows(
        "SELECT property ->> 'value' AS zone, count(*) AS users"
        f" FROM {SCHEMA}.users, unnest(properties) AS property"
        """ WHERE property @> '{"name": "fc_user_timezone"}' GROUP BY 1"""
    )
    expect_equal({row["zone"]: row["users"] for row in rows}, dict(sites), "users by time zone")
    expect(urls and sites, "the account has nothing nested")
