"""The tap in a real pipeline: simulated account -> tap -> target-postgres -> SQL.

`tests/pipeline/run` starts this with the paths of the programs. It starts a simulated account and
a PostgreSQL server of its own on free loopback ports, syncs the account several times, and looks
at the messages, the requests and the tables. Both servers, and all files, are gone at the end.

The runs, each with the state that the target printed in the one before:
- first: from the start date.
- second: nothing has changed since.
- overlap: with a lookback of many days.
- rewritten: with all reports anew, whose rows have changed.
- versions: with ACTIVATE_VERSION messages, after each table got a row that the account lacks.
"""

import argparse
import contextlib
import copy
import dataclasses
import functools
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import psycopg
from psycopg.rows import dict_row

# The streams that are synced where no catalog says otherwise.
DEFAULT_STREAMS = [
    "account",
    "users",
    "user_conversations",
    "conversations",
    "messages",
    "conversation_fields",
    "agents",
    "agent_statuses",
    "groups",
    "channels",
    "roles",
    "outbound_messages",
    "business_hours",
    "metrics_historical",
    "metrics_instant",
    "deletions",
]
# The rest, which a catalog has to select. The runs select all streams.
REPORTS = [
    "report_chat_transcript",
    "report_conversation_created",
    "report_message_sent",
    "report_conversation_resolved",
    "report_conversation_resolution_label",
    "report_csat_score",
    "report_first_response_time",
    "report_response_time",
    "report_resolution_time",
    "report_conversation_agent_assigned",
    "report_conversation_group_assigned",
    "report_agent_activity",
    "report_agent_intelliassign_activity",
    "report_conversation_activity",
    "report_classic",
    "report_agent_performance",
]
STREAMS = DEFAULT_STREAMS + REPORTS
# Streams whose number of records depends on when and how they are asked for.
UNCOUNTED = ["metrics_historical", "metrics_instant", "report_agent_performance"]
# Streams that have records only once something is gone.
EMPTY = ["deletions"]
# Streams that get new rows in each run.
APPENDED = ["metrics_instant"]
# Streams that go by the bookmark minus `lookback_seconds`, and by nothing else: a conversation
# that was fetched is written whatever its time.
WITH_LOOKBACK = ["users", "messages"]
# Streams whose records are compared with the API's answers, and what to ask for.
COMPARED = {
    "users": {"updated_from": "2000-01-01T00:00:00.000Z"},
    "agents": {},
    "groups": {},
    "channels": {},
    "roles": {},
}
# The names of the runs, in order.
RUNS = ["first", "second", "overlap", "rewritten", "versions"]
# Columns that the tap fills by itself.
ADDED_COLUMNS = {"business_hours": {"checked_at"}}
# By column type, a key's value that no record of the account has.
GONE = {"text": "gone", "bigint": -1, "timestamp without time zone": datetime(1970, 1, 1)}

USERS = 1000
LOOKBACK = timedelta(seconds=900)
LONG_LOOKBACK = timedelta(days=20)
# Longer than the account is old.
WHOLE_REPORTS = timedelta(days=90)
# The API's lower bound may exclude the time itself, so the tap asks from a little before.
RESOLUTION = timedelta(milliseconds=1)
# Seconds until this script gives up.
TIMEOUT = 900
# Enough for all runs, which begin and end on one day, UTC: a new day brings new rows.
RUN_TIME = timedelta(minutes=3)

SCHEMA = "freshchat"
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": os.environ.get("HOME", "/"),
    "LC_ALL": "C.UTF-8",
}
# Requests to loopback, whatever proxies the environment names.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


# ---- The servers ----


class Account:
    """A running simulated account."""

    def __init__(self, process, counts):
        text = ""
        for line in process.stdout:
            text += line
            with contextlib.suppress(json.JSONDecodeError):
                self.config = json.loads(text)
                break
        else:
            raise RuntimeError(f"the sandbox ended, exit code {process.wait()}")
        # The number of records of each stream.
        self.counts = json.loads(counts.read_text())

    @classmethod
    @contextlib.contextmanager
    def start(cls, program, folder, users=USERS, *options):
        counts = folder / "counts.json"
        command = [program, "--users", str(users), "--counts", counts, *options]
        with running(command, stdout=subprocess.PIPE, text=True) as process:
            yield cls(process, counts)

    def call(self, path, **query):
        """The API's answer."""
        query = urllib.parse.urlencode(query)
        request = urllib.request.Request(f"{self.config['api_url']}/{path}?{query}")
        request.add_header("Authorization", f"Bearer {self.config['api_token']}")
        with HTTP.open(request, timeout=60) as response:
            return json.loads(response.read())

    def records(self, stream, filters):
        """All records of a paged list."""
        found = {}
        page = 1
        while records := self.call(stream, page=page, items_per_page=100, **filters)[stream]:
            found.update((record["id"], record) for record in records)
            page += 1
        return found

    def _log(self, method):
        address = urllib.parse.urljoin(self.config["api_url"], "/_sandbox/requests")
        with HTTP.open(urllib.request.Request(address, method=method), timeout=60) as response:
            return response.read()

    def requests(self):
        """The requests since the last `forget_requests`."""
        return json.loads(self._log("GET"))

    def forget_requests(self):
        self._log("DELETE")


class Postgres:
    """A running PostgreSQL server."""

    def __init__(self, port, password):
        self.settings = {
            "host": "127.0.0.1",
            "port": port,
            "user": "pipeline",
            "password": password,
        }
        self.connection = psycopg.connect(
            **self.settings, dbname="postgres", autocommit=True, row_factory=dict_row
        )

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder):
        """A new server in `folder`; as root, it belongs to the user that Debian's package made."""
        programs = find_postgres()
        owner = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

        def run(program, *arguments):
            command = [programs / program, "--pgdata", folder / "data", *arguments]
            quiet(command, cwd=folder, **owner)

        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.touch(mode=0o644)  # In a folder that is closed to others.
        password_file.write_text(password)
        run(
            "initdb",
            "--username=pipeline",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        port = free_port()
        # UTC, since the target's columns have no time zone: it stores the server's local time.
        options = f"-h 127.0.0.1 -p {port} -k '' -c timezone=UTC -c fsync=off"
        log = folder / "log"
        try:
            try:
                run("pg_ctl", "start", "--wait", f"--log={log}", f"--options={options}")
            except RuntimeError as error:
                raise RuntimeError(f"{error}\n{log.read_text()}") from None
            server = cls(port, password)
            with server.connection:
                yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def rows(self, query, *parameters):
        return self.connection.execute(query, parameters).fetchall()

    def table(self, stream):
        """All rows of a stream's table, or none if it is not there."""
        try:
            return self.rows(f'SELECT * FROM {SCHEMA}."{stream}"')
        except psycopg.errors.UndefinedTable:
            return None


def find_postgres():
    """The folder of the server programs, which Debian keeps out of the PATH."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    versions = sorted((folder for folder in folders if (folder / "initdb").exists()), key=version)
    if versions:
        return versions[-1]
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise RuntimeError("no initdb found: install PostgreSQL (Debian: postgresql)")


def version(folder):
    return [int(part) for part in folder.parent.name.split(".") if part.isdigit()]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(command, **options):
    """A process that is ended with the block."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def quiet(command, **options):
    """Runs a command that must succeed; what it printed."""
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **options,
    )
    if done.returncode != 0:
        problem = f"{command[0]}: exit code {done.returncode}"
        raise RuntimeError(f"{problem}\n{done.stdout}{done.stderr}")
    return done.stdout


# ---- The runs ----


@dataclasses.dataclass
class Run:
    """What one run left behind."""

    exit_codes: dict
    output: Path
    # The last line that the target printed.
    state: dict
    requests: list
    # The rows of each stream's table, after the run.
    tables: dict

    @functools.cached_property
    def messages(self):
        return [json.loads(line) for line in self.output.open()]

    def records(self, stream):
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    def asked(self, endpoint):
        return [request for request in self.requests if request["endpoint"] == endpoint]

    def bookmark(self, stream):
        return time(self.state["bookmarks"][stream]["replication_key_value"])


class Pipeline:
    """The programs, the servers and the runs."""

    def __init__(self, programs, folder, account, later, postgres):
        self.programs = programs
        self.folder = folder
        self.account = account
        # The same account, whose reports have changed.
        self.later = later
        self.postgres = postgres
        self.catalog = json.loads(quiet([programs.tap, "--discover"], cwd=folder))
        self.runs = {}
        selection = copy.deepcopy(self.catalog)
        for entry in selection["streams"]:
            root(entry)["selected"] = True
        self.selection = self.write("catalog.json", selection)

    def write(self, name, document):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def target(self, name, schema=SCHEMA):
        """The command of a target that loads into `schema`."""
        settings = self.postgres.settings | {
            "database": "postgres",
            "default_target_schema": schema,
        }
        return [self.programs.target, "--config", self.write(f"{name}-target.json", settings)]

    def sync(self, name, state=None, account=None, **settings):
        """tap | tee | target."""
        print(f"-- run: {name}", flush=True)
        account = account or self.account
        config = self.write(f"{name}-config.json", account.config | settings)
        tap = [self.programs.tap, "--config", config, "--catalog", self.selection]
        if state is not None:
            tap += ["--state", self.write(f"{name}-state.json", state)]
        output = self.folder / f"{name}.jsonl"
        account.forget_requests()
        commands = {"tap": tap, "tee": ["tee", output], "target": self.target(name)}
        exit_codes, printed = self.pipe(name, commands)
        run = self.runs[name] = Run(
            exit_codes=exit_codes,
            output=output,
            state=json.loads((printed.splitlines() or ["null"])[-1]),
            requests=account.requests(),
            tables={stream: self.postgres.table(stream) for stream in STREAMS},
        )
        if any(exit_codes.values()):
            raise RuntimeError(f"{name} run failed")
        return run

    def pipe(self, name, commands):
        """The exit codes of a pipe's commands, and what the last one printed; a command that
        fails has the end of its log shown."""
        exit_codes = {}
        with contextlib.ExitStack() as stack:
            previous = None
            processes = {}
            for part, command in commands.items():
                log = stack.enter_context(open(self.folder / f"{name}-{part}.log", "wb"))
                processes[part] = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=ENVIRONMENT,
                    stdin=previous or subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
                stack.callback(processes[part].kill)
                if previous:
                    previous.close()
                previous = processes[part].stdout
            printed = previous.read().decode()
            for part, process in processes.items():
                exit_codes[part] = process.wait()
        for part, exit_code in exit_codes.items():
            if exit_code != 0:
                lines = (self.folder / f"{name}-{part}.log").read_text().splitlines()
                print(f"{part} failed, exit code {exit_code}:", *lines[-12:], sep="\n  ")
        return exit_codes, printed

    def run(self, name):
        """A run that took place."""
        if name not in self.runs:
            raise AssertionError("a run before this one failed")
        return self.runs[name]

    def run_all(self):
        """Each run; none comes after one that failed."""
        first = self.sync("first")
        second = self.sync("second", first.state)
        seconds = LONG_LOOKBACK.total_seconds()
        overlap = self.sync("overlap", second.state, lookback_seconds=seconds)
        rewritten = self.sync(
            "rewritten",
            overlap.state,
            self.later,
            report_lookback_hours=WHOLE_REPORTS.total_seconds() / 3600,
            report_jobs_per_event_per_day=0,  # Or what is cut by days is read for some days only.
        )
        for stream in STREAMS:
            self.plant(stream)
        self.sync("versions", rewritten.state, emit_activate_version_messages=True)

    def plant(self, stream):
        """Puts a row of an earlier version into a table: one that the account lacks."""
        columns = ", ".join(f'"{key}"' for key in self.keys(stream))
        gone = self.gone(stream)
        places = ", ".join("%s" for _ in gone)
        self.postgres.connection.execute(
            f'INSERT INTO {SCHEMA}."{stream}" ({columns}, _sdc_table_version) VALUES ({places}, 1)',
            gone,
        )

    def gone(self, stream):
        """The key of the row that is planted in a table."""
        properties = self.entry(stream)["schema"]["properties"]
        return tuple(GONE[column_type(properties[key])] for key in self.keys(stream))

    def entry(self, stream):
        return next(entry for entry in self.catalog["streams"] if entry["stream"] == stream)

    def metadata(self, stream):
        return root(self.entry(stream))

    def keys(self, stream):
        return self.metadata(stream)["table-key-properties"]

    def is_full_table(self, stream):
        return self.metadata(stream)["forced-replication-method"] == "FULL_TABLE"


def root(entry):
    """The metadata of a catalog entry itself, not of its properties."""
    return next(part["metadata"] for part in entry["metadata"] if not part["breadcrumb"])


# ---- The checks ----

CHECKS = []


def check(name):
    """Registers a check: a function of the pipeline that raises if something is wrong."""

    def register(function):
        CHECKS.append((name, function))
        return function

    return register


def expect(holds, problem):
    if not holds:
        raise AssertionError(problem)


def expect_equal(found, expected, what):
    expect(found == expected, f"{what}: {found!r}, expected {expected!r}")


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


def check_each_run(name):
    """Registers a check of each run, a function of the pipeline, the run and its name."""

    def register(function):
        for run in RUNS:

            def of_run(pipeline, run=run):
                function(pipeline, pipeline.run(run))

            check(f"{run} run: {name}")(of_run)
        return function

    return register


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


@check_each_run("both ends of the pipe exit with 0")
def exit_codes(_, run):
    expect_equal(run.exit_codes, {"tap": 0, "tee": 0, "target": 0}, "exit codes")


@check_each_run("the tap's stdout holds Singer messages and nothing else")
def only_messages(_, run):
    for number, line in enumerate(run.output.read_bytes().split(b"\n")[:-1], 1):
        try:
            kind = json.loads(line)["type"]
        except (ValueError, TypeError, KeyError):
            raise AssertionError(f"line {number} is no message: {line[:200]!r}") from None
        expect(kind in ["SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"], f"line {number}: {kind}")
    expect(run.output.read_bytes().endswith(b"\n"), "the last line has no end")


@check_each_run("singer-check-tap finds the output valid")
def check_tap(pipeline, run):
    with run.output.open() as output:
        done = subprocess.run(
            [pipeline.programs.check_tap],
            cwd=pipeline.folder,
            env=ENVIRONMENT,
            stdin=output,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    valid = done.returncode == 0 and "The output is valid." in done.stdout
    expect(valid, f"exit code {done.returncode}\n{done.stdout[-2000:]}")


@check_each_run("the API granted every request")
def all_answered(_, run):
    statuses = Counter((request["endpoint"], request["status"]) for request in run.requests)
    expect(statuses, "no request in the sandbox's log")
    others = {pair: count for pair, count in statuses.items() if pair[1] not in [200, 202]}
    expect(not others, f"other answers: {others}")


@check_each_run("the target's state is the last one that the tap wrote")
def state_printed(_, run):
    states = [message["value"] for message in run.messages if message["type"] == "STATE"]
    expect(states, "the tap wrote no state")
    expect_equal(run.state, states[-1], "the target's last line")


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


def key_of(row, keys):
    return tuple(row[key] for key in keys)


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


def content(stream, rows):
    return sorted(repr(own_columns(stream, row)) for row in rows if not is_of_the_moment(row))


def is_of_the_moment(row):
    """Whether it is a metric's value at the time of a run: each run adds one."""
    return row.get("interval") == "none" and row.get("x_time") is not None


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


# ---- The report ----


def run_checks(pipeline):
    """The numbers of checks that passed and that failed."""
    passed = failed = 0
    for name, function in CHECKS:
        try:
            function(pipeline)
        except Exception as error:  # Whatever it is, it's this check's result.
            detail = str(error) if isinstance(error, AssertionError) else repr(error)
            first, *lines = detail[:3000].splitlines() or [""]
            print(f"FAILED  {name}: {first}", *lines, sep="\n          ", flush=True)
            failed += 1
        else:
            print(f"ok      {name}", flush=True)
            passed += 1
    return passed, failed


def stop(number, _):
    """Ends the script by way of its `finally` blocks, which no further signal interrupts."""
    for other in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]:
        signal.signal(other, signal.SIG_IGN)
    if number == signal.SIGALRM:
        print(f"gave up after {TIMEOUT} seconds", flush=True)
    sys.exit(128 + number)


def wait_for_day():
    """Waits for the next day, UTC, if it begins before the runs would end."""
    now = datetime.now(UTC)
    midnight = (now + RUN_TIME).replace(hour=0, minute=0, second=0, microsecond=0)
    if midnight > now:
        print("-- waiting for midnight, UTC", flush=True)
        sleep((midnight - now).total_seconds() + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ["tap", "sandbox", "target", "check-tap"]:
        parser.add_argument(f"--{program}", type=Path, required=True)
    programs = parser.parse_args()
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]:
        signal.signal(number, stop)
    signal.alarm(TIMEOUT)
    wait_for_day()
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-")))
            folder.chmod(0o711)  # PostgreSQL's user passes through.
            (folder / "postgres").mkdir(mode=0o700)
            account = stack.enter_context(Account.start(programs.sandbox, folder))
            (folder / "later").mkdir()
            start = Account.start(programs.sandbox, folder / "later", USERS, "--rewritten-reports")
            later = stack.enter_context(start)
            postgres = stack.enter_context(Postgres.start(folder / "postgres"))
            pipeline = Pipeline(programs, folder, account, later, postgres)
        except Exception as error:
            print(f"FAILED  to start: {error!r}")
            passed, failed = 0, 1
        else:
            try:
                pipeline.run_all()
            except Exception as error:  # The checks find out which runs there were.
                print(f"stopped: {error}")
            passed, failed = run_checks(pipeline)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
