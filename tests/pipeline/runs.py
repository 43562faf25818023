"""The runs of the pipeline test, and what each left behind.

The runs, each with the state that the target printed in the one before:
- first: from the start date.
- second: nothing has changed since.
- overlap: with a lookback of many days.
- rewritten: with all reports anew, whose rows have changed.
- versions: with ACTIVATE_VERSION messages, after each table got a row that the account lacks.
"""

import contextlib
import copy
import dataclasses
import functools
import json
import subprocess
from datetime import timedelta
from pathlib import Path

from checks import check
from processes import ENVIRONMENT, quiet
from streams import STREAMS
from tables import GONE, SCHEMA, column_type, time

# The names of the runs, in order.
RUNS = ["first", "second", "overlap", "rewritten", "versions"]

LOOKBACK = timedelta(seconds=900)
LONG_LOOKBACK = timedelta(days=20)
# Longer than the account is old.
WHOLE_REPORTS = timedelta(days=90)
# The API's lower bound may exclude the time itself, so the tap asks from a little before.
RESOLUTION = timedelta(milliseconds=1)


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


def check_each_run(name):
    """Registers a check of each run, a function of the pipeline, the run and its name."""

    def register(function):
        for run in RUNS:

            def of_run(pipeline, run=run):
                function(pipeline, pipeline.run(run))

            check(f"{run} run: {name}")(of_run)
        return function

    return register
