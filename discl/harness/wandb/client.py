"""W&B's settings and a small GraphQL client of the standard library.

Not `wandb.Api`: importing wandb costs most of a second, and its client starts a service process
and reports a server that is not there after seconds, without the reason.
"""

from __future__ import annotations

import base64
import configparser
import importlib.metadata
import json
import netrc
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json
from discl.files.sources import OneOrigin, Origin, public

ONLINE = "online"
OFFLINE = "offline"
DISABLED = "disabled"
MODES = {
    "": ONLINE,
    "run": ONLINE,
    "shared": ONLINE,
    "online": ONLINE,
    "offline": OFFLINE,
    "dryrun": OFFLINE,
    "disabled": DISABLED,
}
SERVICE = "https://api.forge.coreweave.com"  # the default server since version 0.31 of wandb
LEGACY_SERVICE = "https://api.wandb.ai"  # and before
WHOAMI_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
TRIES = 8
PAGE = 500  # runs in one answer
SYNC_LATER = "events.jsonl has everything, and `discl wandb sync` sends it later"
# settings that decide where a key goes, on what way, or which one
_CONNECTION = re.compile("proxy|ssl|key|token|credential|url|header|transport|^_|^x_")

_WHO = "query Viewer { viewer { id entity username } }"
_RUNS = """
query SyncedRuns(
  $project: String!, $entity: String, $cursor: String, $perPage: Int = 50, $filters: JSONString
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: $perPage) {
      edges { node { name historyLineCount state } cursor }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


class UnreachableError(UserError):
    """W&B does not answer, or does not accept the key."""


@dataclass(frozen=True)
class WandbSettings:
    """Server, key, mode and names, as W&B's own client would find them."""

    url: str
    key: str | None
    key_from: str  # where the key was found; "" where there is none
    requested_mode: str  # online, offline or disabled, as WANDB_MODE or a settings file says
    entity: str | None
    project: str | None  # replaces the one project per benchmark

    @property
    def shown(self) -> str:
        """The server as messages show it."""
        return public(self.url)

    @property
    def mode(self) -> str:
        """The mode that is used: online needs a key."""
        return OFFLINE if self.requested_mode == ONLINE and not self.key else self.requested_mode


@dataclass(frozen=True)
class ServerRun:
    """A run as W&B holds it."""

    rows: int
    state: str


def read_settings() -> WandbSettings:
    """Settings from the environment, then from W&B's files; no server is asked.

    Raises UserError where WANDB_MODE is none of W&B's modes, and where the working folder names a
    server, or a way to it, that the user's own settings do not.
    """
    users, folders = _file_settings()
    files = users | folders
    url = (os.environ.get("WANDB_BASE_URL") or files.get("base_url") or _service()).rstrip("/")
    if not os.environ.get("WANDB_BASE_URL") and "base_url" in folders:
        _check_allowed(url, users.get("base_url", ""))
    for name, value in folders.items():
        # W&B's own client reads the same file
        if name != "base_url" and _CONNECTION.search(name) and users.get(name) != value:
            raise UserError(
                f"the settings of W&B in this folder say {name}, which decides how your key"
                " travels, and your own settings do not; remove it there, or set it for yourself"
            )
    key, key_from = _key(url)
    mode = os.environ.get("WANDB_MODE") or files.get("mode") or ""
    if mode not in MODES:
        raise UserError(
            f"WANDB_MODE = {mode!r} is no mode of W&B; there is {', '.join(filter(None, MODES))}"
        )
    entity = os.environ.get("WANDB_ENTITY") or files.get("entity") or None
    project = os.environ.get("WANDB_PROJECT") or files.get("project") or None
    return WandbSettings(url, key, key_from, MODES[mode], entity, project)


def _service() -> str:
    """The default server of the installed client."""
    major, minor = importlib.metadata.version("wandb").split(".")[:2]
    return SERVICE if (int(major), int(minor)) >= (0, 31) else LEGACY_SERVICE


def _file_settings() -> tuple[dict[str, str], dict[str, str]]:
    """Settings by `wandb login`, `wandb offline` and `wandb init`: the user's, the folder's."""
    config = os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb"
    working = Path(os.environ.get("WANDB_DIR") or ".")
    of_folder = [working / name / "settings" for name in ("wandb", ".wandb")]  # later ones win
    users = _settings_in(Path(config).expanduser() / "settings")
    return users, {key: value for path in of_folder for key, value in _settings_in(path).items()}


def _settings_in(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, "utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    return dict(parser.items("default")) if parser.has_section("default") else {}


def _check_allowed(url: str, users_url: str) -> None:
    """Raise UserError where only the working folder names this server.

    A folder may have come from anybody, and the key would go to whatever it names.
    """
    named = Origin.of(url)
    own = [SERVICE, LEGACY_SERVICE, *([users_url] if users_url else [])]
    if named in map(Origin.of, own):
        return
    host = urllib.parse.urlsplit(url).netloc
    # not netrc's `default`, which is for any host and so for none in particular
    if named.is_private and any(host in logins.hosts for _, logins in _logins()):
        return
    raise UserError(
        f"the settings of W&B in this folder name the server {public(url)}, and your own name it"
        " nowhere, so no key is sent there; if it is yours, `wandb login --host"
        f" {public(url)}` or WANDB_BASE_URL={public(url)} says so"
    )


def _logins() -> Iterator[tuple[Path, netrc.netrc]]:
    """The user's files of logins."""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            yield path, netrc.netrc(path.expanduser())
        except (OSError, netrc.NetrcParseError):
            continue


def _key(url: str) -> tuple[str | None, str]:
    """(key, where it was found) from the environment or netrc."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key, "WANDB_API_KEY"
    # a login from before the service moved is still valid
    servers = [url, LEGACY_SERVICE] if url == SERVICE else [url]
    hosts = [urllib.parse.urlsplit(server).netloc for server in servers]
    for path, logins in _logins():
        for host in hosts:
            login = logins.authenticators(host)
            if login and login[2]:
                return login[2], str(path)
    return None, ""


# ---------------------------------------------------------------- asking the server


def whoami(settings: WandbSettings, timeout_s: float = WHOAMI_TIMEOUT_S, tries: int = TRIES) -> str:
    """The entity that runs go to.

    Raises UnreachableError where the server does not answer or does not know the key.
    """
    viewer = graphql(settings, _WHO, {}, timeout_s, tries).get("viewer")
    if not viewer:
        raise UnreachableError(
            f"W&B at {settings.shown} does not know the key from {settings.key_from}; `wandb login`"
            " takes a new one"
        )
    return str(settings.entity or viewer.get("entity") or viewer.get("username"))


def server_runs(
    settings: WandbSettings, project: str, entity: str | None, only: str | None = None
) -> dict[str, ServerRun]:
    """Runs of a project (or the run `only`) at W&B, by id; one request for every 500 runs."""
    runs: dict[str, ServerRun] = {}
    variables = {
        "project": project,
        "entity": entity,
        "cursor": None,
        "perPage": PAGE,
        "filters": json.dumps({"name": only} if only else {}),
    }
    while True:
        page = (graphql(settings, _RUNS, variables).get("project") or {}).get("runs")
        if not page:
            return runs
        for edge in page["edges"]:
            node = edge["node"]
            rows = int(node.get("historyLineCount") or 0)
            runs[node["name"]] = ServerRun(rows, str(node.get("state") or ""))
        if not page["pageInfo"]["hasNextPage"]:
            return runs
        variables["cursor"] = page["pageInfo"]["endCursor"]


def graphql(
    settings: WandbSettings,
    query: str,
    variables: dict[str, Any],
    timeout_s: float = REQUEST_TIMEOUT_S,
    tries: int = TRIES,
) -> dict[str, Any]:
    """The `data` of a GraphQL answer; server errors and status 429 are tried again.

    Raises UnreachableError where the server cannot be reached, refuses the key or keeps failing.
    """
    credentials = base64.b64encode(f"api:{settings.key}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the user's own server
        f"{settings.url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Basic {credentials}",
            "User-Agent": "discl",
        },
    )
    left = tries
    while True:
        left -= 1
        try:
            with urllib.request.build_opener(OneOrigin).open(request, timeout=timeout_s) as answer:
                data = parsed_json(answer.read()).get("data")
                return data if isinstance(data, dict) else {}
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise UnreachableError(
                    f"W&B at {settings.shown} refuses the key from {settings.key_from or 'nowhere'}"
                    f" ({error.code}); `wandb login` takes a new one"
                ) from error
            retryable = error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= 500
            if left and retryable:
                time.sleep(min(2.0, 0.1 * 2 ** (tries - left)))
                continue
            raise UnreachableError(f"W&B at {settings.shown} answers {error.code}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(
                f"W&B at {settings.shown} cannot be reached ({reason})"
            ) from error
        except UserError as elsewhere:
            raise UnreachableError(f"W&B: {elsewhere} by WANDB_BASE_URL") from elsewhere
