"""Whether W&B can be reached, as whom and where; asked of its server with the standard library
alone, so that it costs nothing.

Importing wandb takes a second of processor time, and its client waits half a minute for a server
that is not there.
"""

from __future__ import annotations

import base64
import configparser
import importlib.metadata
import json
import netrc
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.core.errors import UserError

ONLINE, OFFLINE, DISABLED = "online", "offline", "disabled"
MODES = {
    "": ONLINE,
    "run": ONLINE,
    "shared": ONLINE,
    "online": ONLINE,
    "offline": OFFLINE,
    "dryrun": OFFLINE,
    "disabled": DISABLED,
}
SERVICE, BEFORE = (
    "https://api.forge.coreweave.com",
    "https://api.wandb.ai",
)  # W&B's own, since its client 0.31 and until then
PROBE_S = 5.0  # how long a server may take to say who we are
PAGE = 500  # runs asked for at a time
SYNC_LATER = "events.jsonl has everything, and `discl wandb sync` sends it later"

_WHO = "query Viewer { viewer { id entity username } }"
_RUNS = """query MirroredRuns($project: String!, $entity: String, $cursor: String, $perPage: Int = 50, $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: $perPage) {
      edges { node { name historyLineCount state } cursor }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


class UnreachableError(UserError):
    """W&B does not answer, or does not know us."""


@dataclass(frozen=True)
class Access:
    """How W&B is to be spoken to, as its own client would find it."""

    url: str
    key: str | None
    key_from: str  # where the key was found; "" where there is none
    wanted: str  # online, offline or disabled, as WANDB_MODE or a settings file says
    entity: str | None
    project: str | None  # in place of one project a benchmark

    @property
    def mode(self) -> str:
        """What is done: online only where there is a key."""
        return OFFLINE if self.wanted == ONLINE and not self.key else self.wanted


@dataclass(frozen=True)
class Held:
    """What W&B holds of a run."""

    rows: int
    state: str


def access() -> Access:
    """From the environment, then from W&B's settings files; the key from the environment or netrc.

    Asks nobody.
    """
    said = dict(_settings())
    url = (os.environ.get("WANDB_BASE_URL") or said.get("base_url") or _service()).rstrip("/")
    key, key_from = _key(url)
    mode = os.environ.get("WANDB_MODE") or said.get("mode") or ""
    if mode not in MODES:
        raise UserError(
            f"WANDB_MODE = {mode!r} is no mode of W&B; there is {', '.join(filter(None, MODES))}"
        )
    entity = os.environ.get("WANDB_ENTITY") or said.get("entity") or None
    project = os.environ.get("WANDB_PROJECT") or said.get("project") or None
    return Access(url, key, key_from, MODES[mode], entity, project)


def _service() -> str:
    """What the installed client takes where nothing is said."""
    major, minor = importlib.metadata.version("wandb").split(".")[:2]
    return SERVICE if (int(major), int(minor)) >= (0, 31) else BEFORE


def _settings() -> Iterator[tuple[str, str]]:
    """What `wandb login`, `wandb offline` and `wandb init` wrote, the nearer file last."""
    system = (
        Path(os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb").expanduser()
        / "settings"
    )
    here = Path(os.environ.get("WANDB_DIR") or ".")
    for path in (system, here / "wandb" / "settings", here / ".wandb" / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, "utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section("default"):
            yield from parser.items("default")


def _key(url: str) -> tuple[str | None, str]:
    if key := os.environ.get("WANDB_API_KEY"):
        return key, "WANDB_API_KEY"
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            known = netrc.netrc(path.expanduser())
        except (OSError, netrc.NetrcParseError):
            continue
        for host in (
            url,
            *([BEFORE] if url == SERVICE else []),
        ):  # a login from before the service moved still holds
            found = known.authenticators(urllib.parse.urlsplit(host).netloc)
            if found and found[2]:
                return found[2], str(path)
    return None, ""


# ---------------------------------------------------------------- asking the server


def whoami(found: Access, timeout_s: float = PROBE_S) -> str:
    """The entity that runs go to; an UnreachableError says why there is none."""
    said = ask(found, _WHO, {}, timeout_s)
    viewer = said.get("viewer")
    if not viewer:
        raise UnreachableError(
            f"W&B at {found.url} does not know the key from {found.key_from}; `wandb login` takes a"
            " new one"
        )
    return str(found.entity or viewer.get("entity") or viewer.get("username"))


def held(
    found: Access, project: str, entity: str | None, only: str | None = None
) -> dict[str, Held]:
    """What W&B holds of every run of a project (or of one), by id; a few requests, however many
    runs there are.
    """
    runs: dict[str, Held] = {}
    cursor: str | None = None
    filters = json.dumps({"name": only} if only else {})
    while True:
        given = {
            "project": project,
            "entity": entity,
            "cursor": cursor,
            "perPage": PAGE,
            "filters": filters,
        }
        known = (ask(found, _RUNS, given).get("project") or {}).get("runs")
        if not known:
            return runs
        for edge in known["edges"]:
            node = edge["node"]
            runs[node["name"]] = Held(
                int(node.get("historyLineCount") or 0), str(node.get("state") or "")
            )
        if not known["pageInfo"]["hasNextPage"]:
            return runs
        cursor = known["pageInfo"]["endCursor"]


def ask(
    found: Access, query: str, given: dict[str, Any], timeout_s: float = 30.0, tries: int = 8
) -> dict[str, Any]:
    """The `data` of a GraphQL answer; server errors and 429 are tried again, what cannot get better
    is an UnreachableError.
    """
    said = base64.b64encode(f"api:{found.key}".encode()).decode()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Basic {said}",
        "User-Agent": "discl",
    }
    request = urllib.request.Request(
        f"{found.url}/graphql", json.dumps({"query": query, "variables": given}).encode(), headers
    )  # noqa: S310
    for left in reversed(range(tries)):
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - the user's own server
                data = json.loads(answer.read()).get("data")
                return data if isinstance(data, dict) else {}
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise UnreachableError(
                    f"W&B at {found.url} refuses the key from {found.key_from or 'nowhere'}"
                    f" ({error.code}); `wandb login` takes a new one"
                ) from error
            if left and (error.code == 429 or error.code >= 500):
                time.sleep(min(2.0, 0.1 * 2 ** (tries - left)))
                continue
            raise UnreachableError(f"W&B at {found.url} answers {error.code}") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise UnreachableError(f"W&B at {found.url} cannot be reached ({why})") from error
    raise AssertionError("every try returns or raises")
