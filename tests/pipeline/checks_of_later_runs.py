"""What must hold of where runs begin, and of what later ones change."""

from collections import Counter
from datetime import UTC, datetime

from checks import check, expect, expect_equal
from runs import LONG_LOOKBACK, LOOKBACK, RESOLUTION, RUNS
from streams import APPENDED, REPORTS, STREAMS, WITH_LOOKBACK
from tables import content, key_of, own_columns, time


@check("first run: users are read from the start date")
def first_window(pipeline):
    start = time(pipeline.account.config["start_date"])
    expect_equal(asked_from(pipeline.run("first")), start - RESOLUTION, "updated_from")


def asked_from(run):
    """Where the requests for updated users began."""
    queries = [dict(request["query"]) for request in run.asked("users")]
    starts = [time(query["updated_from"]) for query in queries if "updated_from" in query]
    expect(starts, "no request for updated users")
    return min(starts)


def expect_overlap(pipeline, name, previous, lookback):
    """A run asked for users from the previous bookmark minus the lookback; of each stream with a
    lookback it wrote what is not older than that, and nothing else. The numbers of records."""
    run = pipeline.run(name)
    start = pipeline.run(previous).bookmark("users") - lookback
    expect_equal(asked_from(run), start - RESOLUTION, "updated_from")
    written = {}
    for stream in WITH_LOOKBACK:
        start = (pipeline.run(previous).bookmark(stream) - lookback).replace(tzinfo=None)
        (replication_key,) = pipeline.metadata(stream)["valid-replication-keys"]
        keys = pipeline.keys(stream)
        rows = pipeline.run("first").tables[stream]
        expected = Counter(key_of(row, keys) for row in rows if row[replication_key] >= start)
        found = Counter(key_of(record, keys) for record in run.records(stream))
        expect_equal(found.total(), expected.total(), f"{stream}: records read again")
        expect(found == expected, f"{stream}: other records were read than those of the overlap")
        written[stream] = found.total()
    return written


def expect_unchanged(pipeline, name):
    """The tables hold what they held after the first run."""
    before, after = pipeline.run("first").tables, pipeline.run(name).tables
    for stream in STREAMS:
        if stream in APPENDED:
            continue
        old, new = (content(stream, rows) for rows in (before[stream], after[stream]))
        expect_equal(len(new), len(old), f"{stream}: rows")
        unchanged = new == old
        expect(unchanged, f"{stream}: other content")


@check("second run: adds and changes no rows")
def second_unchanged(pipeline):
    expect_unchanged(pipeline, "second")


@check("second run: rereads from the bookmark minus the lookback, and nothing older")
def second_overlap(pipeline):
    expect_overlap(pipeline, "second", "first", LOOKBACK)


@check("overlap run: adds and changes no rows")
def overlap_unchanged(pipeline):
    expect_unchanged(pipeline, "overlap")


@check("overlap run: rereads from the bookmark minus the lookback, and nothing older")
def overlap_of_days(pipeline):
    written = expect_overlap(pipeline, "overlap", "second", LONG_LOOKBACK)
    for stream, count in written.items():
        whole = pipeline.account.counts[stream]
        expect(0 < count < whole, f"{stream}: the overlap has {count} of {whole} records")


@check("rewritten run: rows of reports that come again replace themselves")
def rows_replaced(pipeline):
    before, after = pipeline.run("overlap").tables, pipeline.run("rewritten").tables
    for stream in REPORTS:
        old, new = (
            {key_of(row, pipeline.keys(stream)): own_columns(stream, row) for row in rows}
            for rows in (before[stream], after[stream])
        )
        expect_equal(len(after[stream]), len(before[stream]), f"{stream}: rows")
        expect(old.keys() == new.keys(), f"{stream}: other keys")
        same = sum(old[key] == new[key] for key in old)
        expect_equal(same, 0, f"{stream}: rows with their old values")


@check("no bookmark goes back, or passes the clock")
def bookmarks(pipeline):
    for stream in STREAMS:
        if not pipeline.is_full_table(stream):
            marks = [pipeline.run(name).bookmark(stream) for name in RUNS]
            expect(marks == sorted(marks), f"{stream}: not in order: {marks}")
            expect(marks[-1] <= datetime.now(UTC), f"{stream}: in the future: {marks}")


@check("versions run: full-table streams mark the rows that are gone, and only those")
def versions(pipeline):
    for stream in STREAMS:
        keys = pipeline.keys(stream)
        rows = pipeline.run("versions").tables[stream]
        deleted = [row for row in rows if row["_sdc_deleted_at"] is not None]
        found = [key_of(row, keys) for row in deleted]
        expected = [pipeline.gone(stream)] if pipeline.is_full_table(stream) else []
        expect_equal(found, expected, f"{stream}: rows marked as deleted")
