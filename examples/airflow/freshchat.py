"""Freshchat into a database, three times a day: one task for each group of streams.

Each task has a catalog and a state of its own, so that tasks run on separate workers, and are
retried alone. The state is an Airflow variable, which is set whenever the target has confirmed
one: a task that is retried, or runs next time, goes on from there.

The worker's environment has the settings (`TAP_FRESHCHAT_API_TOKEN` and so on), and the target's
command in `FRESHCHAT_TARGET`.
"""

import json
import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Variable, dag, task

CONVERSATIONS = {"user_conversations", "conversations", "messages"}

# The target, without PostgreSQL's settings, which it takes from the environment.
TARGET = "target-postgres --config=ENV"

# Without `pipefail`, a failure of the tap would be hidden by the target's success. The target
# prints each state that it has stored everything for.
PIPE = """
set -euo pipefail
tap-freshchat --config ENV --catalog catalog.json --state state.json | eval "$FRESHCHAT_TARGET"
"""


def group_of(stream):
    """The group of a stream. All reports are in one: the API takes one request a minute."""
    if stream.startswith("report_"):
        return "reports"
    return "conversations" if stream in CONVERSATIONS else "entities"


def select(catalog, group):
    """The catalog with the streams of a group; reports have to be selected."""
    streams = [entry for entry in catalog["streams"] if group_of(entry["stream"]) == group]
    for entry in streams:
        root = next(part for part in entry["metadata"] if not part["breadcrumb"])
        root["metadata"]["selected"] = True
    return {"streams": streams}


def is_state(line):
    """Whether a line of the target's is a state: some print other things, too."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def sync(group):
    """Runs the tap and the target once, and keeps what the target confirms."""
    variable = f"freshchat_state_{group}"
    with tempfile.TemporaryDirectory() as folder:
        discovered = subprocess.run(
            ["tap-freshchat", "--discover"], check=True, stdout=subprocess.PIPE
        )
        catalog = select(json.loads(discovered.stdout), group)
        Path(folder, "catalog.json").write_text(json.dumps(catalog))
        Path(folder, "state.json").write_text(Variable.get(variable, default="{}"))
        target = os.environ.get("FRESHCHAT_TARGET") or TARGET
        with subprocess.Popen(
            ["bash", "-c", PIPE],
            cwd=folder,
            env={**os.environ, "FRESHCHAT_TARGET": target},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as pipe:
            for line in pipe.stdout:
                if is_state(line):
                    Variable.set(variable, line.strip())
        if pipe.returncode != 0:
            raise RuntimeError(f"exit code {pipe.returncode}: the log above says why")


@dag(
    schedule="0 */8 * * *",
    catchup=False,
    # Two runs of one group at once would go on from the same state.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
)
def freshchat():
    for group in ["entities", "conversations", "reports"]:
        task(task_id=group)(sync)(group)


freshchat()
