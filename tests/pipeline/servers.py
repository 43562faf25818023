"""The servers of the tests: a simulated account, and PostgreSQL."""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from processes import quiet, running
from tables import SCHEMA

USERS = 1000
# Requests to loopback, whatever proxies the environment names.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
