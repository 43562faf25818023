"""The description of a tap under test, which README.md explains."""

import dataclasses
import fnmatch
import json
import os
import subprocess
import tomllib
from pathlib import Path


class BadDescription(Exception):
    """The description can't be used."""


@dataclasses.dataclass
class Description:
    """A description file's settings, by their names there."""

    # The folder of the file; paths and commands are relative to it.
    folder: Path
    command: list
    state_arguments: list = dataclasses.field(default_factory=lambda: ["--state", "{state}"])
    discover: list | None = None
    environment: dict = dataclasses.field(default_factory=dict)
    config: dict | str = dataclasses.field(default_factory=dict)
    catalog: str | None = None
    streams: list | None = None
    metadata: dict = dataclasses.field(default_factory=dict)
    truth: list | str | None = None
    ignore: list = dataclasses.field(default_factory=list)
    bookmark_keys: list = dataclasses.field(default_factory=lambda: ["replication_key_value"])
    exit_codes: list = dataclasses.field(default_factory=lambda: [0])
    stopped_exit_codes: list | None = None
    stopped_with_state: bool = False
    grace_seconds: float = 10
    timeout_seconds: float = 300
    chains: int = 10
    kills: int = 4
    stops: int = 3
    change: list | None = None

    @classmethod
    def read(cls, path):
        text = path.read_text()
        try:
            settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except ValueError as error:
            raise BadDescription(f"{path}: {error}") from None
        known = {field.name for field in dataclasses.fields(cls)} - {"folder"}
        if unknown := settings.keys() - known:
            raise BadDescription(f"{path}: unknown settings: {', '.join(sorted(unknown))}")
        if not settings.get("command"):
            raise BadDescription(f"{path}: `command` is missing")
        return cls(folder=path.resolve().parent, **settings)

    def ignores(self, name):
        """Whether a stream, or a property by `stream.property`, is left out of comparisons."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)

    def prepare(self, files):
        """Writes the config and the catalog into a folder; the files by their placeholders."""
        placed = {"config": files / "config.json", "state": files / "state.json"}
        write(placed["config"], self._given(self.config))
        if self.catalog or self.discover:
            placed["catalog"] = files / "catalog.json"
            write(placed["catalog"], self._selected(self._catalog(placed)))
        return placed

    def _given(self, document):
        """A document that stands in the description, or in the file that it names."""
        if isinstance(document, str):
            return json.loads((self.folder / document).read_text())
        return document

    def _catalog(self, placed):
        if self.catalog:
            return self._given(self.catalog)
        return json.loads(self.output(fill(self.discover, placed)))

    def _selected(self, catalog):
        """The catalog with the selection and the metadata of the description."""
        names = [entry.get("tap_stream_id", entry.get("stream")) for entry in catalog["streams"]]
        for pattern in [*(self.streams or []), *self.metadata]:
            if not fnmatch.filter(names, pattern):
                raise BadDescription(f"no stream of the catalog is {pattern!r}; it has {names}")
        for name, entry in zip(names, catalog["streams"], strict=True):
            root = root_metadata(entry)
            if self.streams is not None:
                selected = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.streams)
                root["selected"] = entry["selected"] = selected
            for pattern, metadata in self.metadata.items():
                if fnmatch.fnmatchcase(name, pattern):
                    root.update(metadata)
                    for key, value in metadata.items():
                        # Some taps read these from the entry itself.
                        if key in ("replication-method", "replication-key"):
                            entry[key.replace("-", "_")] = value
        return catalog

    def output(self, command):
        """What a helping command prints; it must succeed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            problem = f"{command[0]}: exit code {done.returncode}"
            raise BadDescription(f"{problem}\n{done.stderr[-2000:]}")
        return done.stdout

    def truth_lines(self):
        """The lines of the truth; none if there is no truth."""
        if self.truth is None:
            return None
        if isinstance(self.truth, str):
            text = (self.folder / self.truth).read_text()
        else:
            text = self.output(self.truth)
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise BadDescription(f"the truth has a line that is not JSON: {error}") from None

    def variables(self):
        """The environment of the tap and of all other commands."""
        return os.environ | self.environment


def root_metadata(entry):
    """The metadata of a catalog's entry itself, not of its properties."""
    parts = entry.setdefault("metadata", [])
    for part in parts:
        if not part["breadcrumb"]:
            return part["metadata"]
    parts.append({"breadcrumb": [], "metadata": {}})
    return parts[-1]["metadata"]


def fill(command, placed):
    """A command with its placeholders filled in."""
    filled = []
    for word in command:
        for name, path in placed.items():
            word = word.replace("{" + name + "}", str(path))
        filled.append(word)
    return filled


def write(path, document):
    """Writes JSON to a file that nobody else reads: configs hold secrets."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
