"""Loads Freshchat into a database three times a day, with one task for each group of streams.

Each task has its own catalog and state, so that tasks can run on separate workers and are retried
alone. The state is an Airflow variable, which is set whenever the target confirms a state. A
retry, or the next run, continues from there.

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

# The default target. It reads PostgreSQL's settings from the environment.
TARGET = "target-postgres --config=ENV"

# Without `pipefail`, the target's success would hide a failure of the tap. The target prints a
# state once it has stored everything up to it.
PIPE = """
set -euo pipefail
tap-freshchat --config ENV --catalog catalog.json --state state.json | eval "$FRESHCHAT_TARGET"
"""


def group_of(stream):
    """The group of a stream. All reports are in one, because the API takes one request a minute."""
    if stream.startswith("report_"):
        return "reports"
    return "conversations" if stream in CONVERSATIONS else "entities"


def select(catalog, group):
    """The catalog with the streams of a group, all selected: by default, reports are not."""
    streams = [entry for entry in catalog["streams"] if group_of(entry["stream"]) == group]
    for entry in streams:
        root = next(part for part in entry["metadata"] if not part["breadcrumb"])
        root["metadata"]["selected"] = True
    return {"streams": streams}


def is_state(line):
    """Whether a line of the target is a state: some targets print other things too."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def sync(group):
    """Runs the tap and the target once, and keeps the states that the target confirms."""
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
    # Two concurrent runs of one group would continue from the same state.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
)
def freshchat():
    for group in ["entities", "conversations", "reports"]:
        task(task_id=group)(sync)(group)


freshchat()
