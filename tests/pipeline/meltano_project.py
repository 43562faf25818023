"""The tap in pip's and Meltano's hands: installed from source into an empty environment, and run
by the sample project in `meltano/`."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from datetime import datetime

from checks import expect, expect_equal
from runs import LOOKBACK, RESOLUTION

# The name under which Meltano keeps the state of `meltano run`.
STATE = "dev:tap-freshchat-to-target-postgres"


class Project:
    """A copy of the sample project, for the account and the server of the test."""

    def __init__(self, root, meltano, folder, account, postgres):
        self.root, self.meltano, self.account, self.postgres = root, meltano, account, postgres
        self.folder = folder / "project"
        self.files = folder
        settings = postgres.settings
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
        } | {
            "NO_COLOR": "1",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "TAP_FRESHCHAT_API_URL": account.config["api_url"],
            "TAP_FRESHCHAT_API_TOKEN": account.config["api_token"],
            "TAP_FRESHCHAT_START_DATE": account.config["start_date"],
            "TARGET_POSTGRES_HOST": settings["host"],
            "TARGET_POSTGRES_PORT": str(settings["port"]),
            "TARGET_POSTGRES_USER": settings["user"],
            "TARGET_POSTGRES_PASSWORD": settings["password"],
            "TARGET_POSTGRES_DATABASE": "postgres",
        }

    def run(self, *command, folder=None, **variables):
        """Runs a command that must succeed: what it printed, on both outputs."""
        done = subprocess.run(
            command,
            cwd=folder or (self.folder if self.folder.exists() else self.files),
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        both = done.stdout + done.stderr
        expect(done.returncode == 0, f"{command}: exit code {done.returncode}\n{both[-2500:]}")
        expect(self.account.config["api_token"] not in both, f"{command} shows the token")
        return done.stdout, done.stderr

    def call(self, *arguments, **variables):
        """Runs Meltano."""
        return self.run(self.meltano, *arguments, **variables)


def check_all(checks, project):
    checks.check("pip installs the tap from source", install, project)
    wheel = checks.check("the wheel for an old C library has the command", old_wheel, project)
    if wheel:
        checks.check("the README adds the tap to a project", added, project, wheel)
    if not wheel or not checks.check("Meltano installs the project", set_up, project, wheel):
        return
    for name, function in [
        ("meltano config test", config_test),
        ("meltano select --list --all", select_list),
        ("meltano run, twice, the second one incremental", run_twice),
        ("Meltano's selection and added properties", selection),
    ]:
        checks.check(name, function, project)


def install(project):
    """`pip install .` in an empty environment gives the command."""
    python, version = install_into(project, "empty", project.root)
    shown, _ = project.run(python, "-m", "pip", "show", "--verbose", "tap-freshchat")
    expect(f"Version: {version}\nSummary: Singer tap for Freshchat" in shown, shown)
    expect("License: Apache-2.0" in shown or "License-Expression: Apache-2.0" in shown, shown)


def install_into(project, name, source):
    """Installs the tap into an empty environment: its Python, and the tap's version."""
    environment = project.files / name
    project.run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    project.run(python, "-m", "pip", "install", "--quiet", source)
    version = tomllib.loads((project.root / "Cargo.toml").read_text())["package"]["version"]
    printed, _ = project.run(environment / "bin" / "tap-freshchat", "--version")
    expect_equal(printed, f"tap-freshchat {version}\n", "version")
    return python, version


def old_wheel(project):
    """The wheel's name says which C library it takes, and so do the names of the functions that
    the program asks it for."""
    wheel = next(project.wheels.glob("tap_freshchat-*manylinux2014_*.whl"))
    python, _ = install_into(project, "old", wheel)
    program = (python.parent / "tap-freshchat").read_bytes()
    needed = {tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_([0-9.]+)\0", program)}
    expect_equal(max(needed), (2, 17), "the newest version of the C library that it names")
    return wheel


def set_up(project, wheel):
    """The sample project, with the wheel in place of the source."""
    ignored = shutil.ignore_patterns(".meltano", ".env")
    shutil.copytree(project.root / "meltano", project.folder, ignore=ignored)
    path = project.folder / "meltano.yml"
    text = path.read_text()
    expect_equal(text.count("pip_url: ..\n"), 1, "the source in meltano.yml")
    path.write_text(text.replace("pip_url: ..\n", f"pip_url: {wheel}\n"))
    project.call("install")
    return True


def config_test(project):
    printed = "".join(project.call("config", "test", "tap-freshchat"))
    expect("Plugin configuration is valid" in printed, printed[-1000:])


def added(project, wheel):
    """The README's commands in a new project, whose default selection is that of the sample."""
    text = (project.root / "README.md").read_text().split("### With Meltano")[1]
    lines = re.findall("^    (meltano .*)", text.split("In a project of your own")[1], re.MULTILINE)
    expect(len(lines) > 2, f"commands in the README: {lines}")
    source = "/path/to/tap-freshchat"
    definition = "meltano/tap-freshchat.yml"
    paths = {source: wheel, f"{source}/{definition}": project.root / definition}
    project.call("init", "own")
    folder = project.files / "own"
    for line in lines:
        command = [paths.get(word, word) for word in shlex.split(line, comments=True)[1:]]
        project.call(*command, folder=folder)
    select_list(project, folder)


def select_list(project, folder=None):
    """The streams of the default selection, and no others; keys are automatic."""
    printed, _ = project.call("select", "tap-freshchat", "--list", "--all", folder=folder)
    lines = re.findall(r"\[(selected|automatic|excluded) *\] (\w+)\.(\w+)", printed)
    catalog, _ = project.call("invoke", "tap-freshchat", "--discover", folder=folder)
    expected = set()
    for entry in json.loads(catalog)["streams"]:
        root = next(part["metadata"] for part in entry["metadata"] if not part["breadcrumb"])
        if root["selected-by-default"]:
            expected.add(entry["stream"])
            key = entry["key_properties"][0]
            expect(("automatic", entry["stream"], key) in lines, f"{entry['stream']}.{key}")
    found = {stream for selected, stream, _ in lines if selected != "excluded"}
    expect_equal(found, expected, "selected streams")


def run_twice(project):
    project.account.forget_requests()
    _, log = project.call("run", "tap-freshchat", "target-postgres")
    # Meltano took the lines for structured ones: the level has left the message.
    lines = [line for line in log.splitlines() if "] tap-freshchat " in line]
    for pattern in [
        r"\[info +\] tap-freshchat stream `users`: complete",
        "metric_name=record_count",
    ]:
        found = any(re.search(pattern, line) for line in lines)
        expect(found, f"no {pattern} in the log:\n" + "\n".join(lines)[-2000:])
    bookmark = state(project)["users"]
    rows = count_users(project)
    expect(rows == project.account.counts["users"], f"{rows} users")
    project.account.forget_requests()
    _, log = project.call("--log-format", "json", "run", "tap-freshchat", "target-postgres")
    log_has_fields(log)
    expect_equal(count_users(project), rows, "users after the second run")
    expect(state(project)["users"] >= bookmark, "the bookmark went back")
    asked = [dict(request["query"]) for request in project.account.requests()]
    starts = [query["updated_from"] for query in asked if "updated_from" in query]
    expected = datetime.fromisoformat(bookmark) - LOOKBACK - RESOLUTION
    expect_equal(min(map(datetime.fromisoformat, starts)), expected, "users are asked for from")


def log_has_fields(log):
    """Meltano's JSON has the stream and the metrics of the tap's lines apart."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    lines = [line for line in lines if line.get("string_id") == "tap-freshchat"]
    streams = {line.get("stream_name") for line in lines if line["event"].endswith("complete")}
    expect("users" in streams, f"streams that were complete: {streams}")
    metrics = [line["metric_info"] for line in lines if "metric_info" in line]
    counts = [metric for metric in metrics if metric["metric"] == "record_count"]
    expect({"stream": "users"} in [metric["tags"] for metric in counts], f"metrics: {counts[:20]}")


def state(project):
    """The bookmarks' values."""
    printed, _ = project.call("state", "get", STATE)
    bookmarks = json.loads(printed)["singer_state"]["bookmarks"]
    return {name: mark.get("replication_key_value") for name, mark in bookmarks.items()}


def count_users(project):
    return project.postgres.rows("SELECT count(*) AS users FROM freshchat.users")[0]["users"]


def selection(project):
    """A selection without the key, and a property that the tap doesn't have."""
    printed, _ = project.call(
        "invoke",
        "tap-freshchat",
        TAP_FRESHCHAT__SELECT=json.dumps(["users.email", "!users.id"]),
        TAP_FRESHCHAT__SCHEMA=json.dumps({"users": {"added": {"type": ["string", "null"]}}}),
    )
    lines = [json.loads(line) for line in printed.splitlines()]
    records = [line["record"] for line in lines if line["type"] == "RECORD"]
    expect_equal(len(records), project.account.counts["users"], "records")
    names = set().union(*records)
    expect(names <= {"id", "email", "updated_time", "added"}, f"properties: {names}")
    expect({"id", "email", "updated_time"} <= names, f"properties: {names}")
