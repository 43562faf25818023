"""The conformance kit, pointed at this tap and at one of another make.

`tests/pipeline/conformance` starts this with the paths of the programs. It describes both taps to
the kit in `tests/conformance`: this one with a simulated account, and meltanolabs-tap-postgres
with two tables that it reads incrementally.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from processes import stop_on_signals, wait_for_day
from servers import Account, Postgres, find_postgres
from streams import ADDED_COLUMNS, COMPARED, UNCOUNTED

KIT = Path(__file__).resolve().parents[1] / "conformance"
USERS = 40
# Enough for the runs, which begin and end on one day, UTC: a new day brings new rows.
RUN_TIME = timedelta(minutes=5)
# What differs from run to run, with the time of the run in it.
OF_THE_MOMENT = [
    "metrics_instant",
    *(f"{stream}.{name}" for stream, names in ADDED_COLUMNS.items() for name in names),
]
# One of each kind: all of them would be most of the output.
METRICS = ["conversation_metrics.created_interactions", "team_performance.first_response_time"]
TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (code text PRIMARY KEY, name text, changed_at timestamptz NOT NULL);
CREATE TABLE shop.orders (
    id bigint PRIMARY KEY,
    customer text NOT NULL,
    amount numeric(10, 2) NOT NULL,
    note jsonb,
    changed_at timestamptz NOT NULL
);
INSERT INTO shop.customers
SELECT 'customer-' || n, 'Name ' || n, timestamptz '2026-01-01' + n * interval '1 hour'
FROM generate_series(1, 500) AS n;
-- Seven of them share each time, and the keys are in another order than the times.
INSERT INTO shop.orders
SELECT
    n * 7919 % 24007,
    'customer-' || n % 500 + 1,
    n * 0.25,
    CASE n % 3 WHEN 0 THEN jsonb_build_object('number', n) END,
    timestamptz '2026-01-01' + n / 7 * interval '1 second'
FROM generate_series(1, 24000) AS n;
"""
CHANGE = """
UPDATE shop.orders SET amount = amount + 1, changed_at = '2026-02-01' WHERE id % 9 = 0;
INSERT INTO shop.orders
SELECT 100000 + n, 'customer-1', n, NULL, timestamptz '2026-02-01' + n / 7 * interval '1 second'
FROM generate_series(1, 12000) AS n;
"""
TRUTH = """
SELECT json_build_object(
    'stream', 'shop-customers', 'key', json_build_object('code', code), 'record', to_json(row)
) FROM shop.customers AS row
UNION ALL
SELECT json_build_object(
    'stream', 'shop-orders', 'key', json_build_object('id', id), 'record', to_json(row)
) FROM shop.orders AS row
"""


def describe_own(tap, account, folder):
    """This tap, with all streams of the account."""
    counts = {name: count for name, count in account.counts.items() if name not in UNCOUNTED}
    lines = [{"stream": name, "count": count} for name, count in counts.items()]
    for stream, filters in COMPARED.items():
        for key in account.records(stream, filters):
            lines.append({"stream": stream, "key": {"id": key}})
    (folder / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "command": [str(tap), "--config", "{config}", "--catalog", "{catalog}"],
        "discover": [str(tap), "--discover"],
        "config": account.config | {"metrics": METRICS},
        "streams": ["*"],
        "truth": "truth.jsonl",
        "ignore": OF_THE_MOMENT,
        "stopped_exit_codes": [143],
        "stopped_with_state": True,
        "chains": 8,
        "stops": 3,
    }


def describe_postgres(tap, postgres):
    """meltanolabs-tap-postgres, with two tables whose later changes it is to bring too."""
    settings = postgres.settings
    postgres.connection.execute(TABLES)
    address = "host={host} port={port} user={user} dbname=postgres".format(**settings)
    psql = [str(find_postgres() / "psql"), "--no-psqlrc", "--quiet", address, "--command"]
    return {
        "command": [str(tap), "--config", "{config}", "--catalog", "{catalog}"],
        "discover": [str(tap), "--config", "{config}", "--discover"],
        "config": settings | {"database": "postgres", "filter_schemas": ["shop"]},
        "streams": ["shop-*"],
        "metadata": {
            "shop-*": {"replication-method": "INCREMENTAL", "replication-key": "changed_at"}
        },
        "truth": [*psql, TRUTH, "--tuples-only", "--no-align"],
        "change": [*psql, CHANGE],
        "environment": {"PGPASSWORD": settings["password"]},
        # It answers SIGTERM with 0, whether it is done or not.
        "stopped_exit_codes": [0],
        "chains": 2,
        "kills": 3,
        "stops": 2,
    }


def conform(name, description, folder, seed):
    """Hands a description to the kit; its exit code."""
    print(f"-- {name}", flush=True)
    path = folder / "description.json"
    path.touch(mode=0o600)  # Its config has a password or a token.
    path.write_text(json.dumps(description))
    return subprocess.run([sys.executable, KIT, path, *seed], check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for program in ["tap", "sandbox", "tap-postgres"]:
        parser.add_argument(f"--{program}", type=Path, required=True)
    parser.add_argument("--seed", help="the kit's seed; a new one for each run if none is given")
    options = parser.parse_args()
    seed = ["--seed", options.seed] if options.seed else []
    stop_on_signals()
    wait_for_day(RUN_TIME)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")))
        folder.chmod(0o711)  # PostgreSQL's user passes through.
        (folder / "postgres").mkdir(mode=0o700)
        account = stack.enter_context(Account.start(options.sandbox, folder, USERS))
        own = describe_own(options.tap, account, folder)
        codes = [conform("tap-freshchat", own, folder, seed)]
        postgres = stack.enter_context(Postgres.start(folder / "postgres"))
        other = describe_postgres(options.tap_postgres, postgres)
        codes.append(conform("meltanolabs-tap-postgres", other, folder, seed))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
