"""A W&B server on loopback that speaks what the client needs: GraphQL, file_stream with offsets,
files and artifacts.

What it holds is what W&B would hold: history rows by offset, so that a retry overwrites; summary,
config and files by run. It can fail a share of the requests (before or after doing their work),
refuse keys, hang, and go away.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

KEY = "a" * 40
ENTITY = "us"


@dataclass
class Run:
    """A run as the server holds it."""

    project: str
    name: str  # the run's id
    config: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)  # displayName, groupName, jobType, tags
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)  # offset -> row
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)  # artifact ids
    exit_code: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history, in order; a hole would be a lost row."""
        assert sorted(self.lines) == list(range(len(self.lines))), f"holes in {sorted(self.lines)}"
        return [self.lines[offset] for offset in sorted(self.lines)]


@dataclass
class Artifact:
    """A version of an artifact."""

    id: str
    name: str
    type: str
    digest: str
    run: str
    metadata: Any = None
    manifest: bytes = b""
    state: str = "PENDING"


@dataclass
class Server:
    """What arrived, and how the server behaves."""

    url: str = ""
    share: float = 0.0  # of the requests that fail
    # only requests to such paths fail: after some failures in a row the client waits for half a
    # minute
    where: str = ""
    codes: tuple[int, ...] = (500, 429)
    hanging: float = 0.0  # seconds every answer takes
    forgets: int = 0  # of the next finished run's last rows, which it said it had taken
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    runs: dict[str, Run] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # names of operations, in order
    failed: int = 0
    faults: list[str] = field(default_factory=list)  # of this server itself
    lock: threading.RLock = field(default_factory=threading.RLock)

    def environment(self, key: str = KEY) -> dict[str, str]:
        """What points the client here; waits between its tries are short."""
        quick = {
            f"WANDB__{what}_RETRY_WAIT_{end}_SECONDS": seconds
            for what in ("FILE_STREAM", "FILE_TRANSFER", "GRAPHQL")
            for end, seconds in (("MIN", "0.02"), ("MAX", "0.2"))
        }
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": key,
            "WANDB_MODE": "online",
            "WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "1",  # whole seconds: 0.2 would leave it at 15
            **quick,
        }

    def reset(self) -> None:
        """Hold nothing, and behave."""
        with self.lock:
            fresh = Server(self.url)
            for name in (
                "share",
                "where",
                "hanging",
                "forgets",
                "chance",
                "runs",
                "artifacts",
                "views",
                "asked",
                "failed",
                "faults",
            ):
                setattr(self, name, getattr(fresh, name))

    def run(self, name: str, project: str = "") -> Run:
        with self.lock:
            return self.runs.setdefault(name, Run(project, name))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *_: object) -> None:
        return None

    def _answer(self) -> None:
        server = self.server.held
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if server.hanging:
            time.sleep(server.hanging)
        with server.lock:
            fails = server.where in self.path and server.chance.random() < server.share
            before = server.chance.random() < 0.5
            code = server.chance.choice(server.codes)
            server.failed += fails
            if fails and before:
                return self._send(code, {"error": "it is one of those days"})
            try:
                answer = self._do(server, body)
            except Exception:
                server.faults.append(f"{self.path}: {traceback.format_exc()}")
                raise
            if fails:  # it was done, and nobody will know
                return self._send(code, {"error": "it is one of those days"})
        return self._send(*answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - as http.server wants it

    def _send(self, code: int, answer: Any) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if code == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    def _do(self, server: Server, body: bytes) -> tuple[int, Any]:
        path = unquote(self.path.partition("?")[0])
        if path.startswith("/storage/"):
            return self._store(server, path.removeprefix("/storage/"), body)
        if not self._known():
            return 401, {"errors": [{"message": "invalid API key"}]}
        if path == "/graphql":
            asked = json.loads(body)
            return 200, answer(server, asked["query"], asked.get("variables") or {})
        if path.endswith("/file_stream"):
            run = server.run(path.split("/")[-2])
            answered = stream(run, json.loads(body))
            if run.exit_code is not None and server.forgets:
                for offset in sorted(run.lines)[-server.forgets :]:
                    del run.lines[offset]
                server.forgets = 0
            return 200, answered
        return 404, {"error": path}

    def _known(self) -> bool:
        credentials = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(credentials or "Og==").decode().rpartition(":")[2] == KEY

    def _store(self, server: Server, path: str, body: bytes) -> tuple[int, Any]:
        kind, _, rest = path.partition("/")
        owner, _, name = rest.partition("/")
        if kind == "manifest":
            if self.command == "PUT":
                server.artifacts[owner].manifest = body
            return 200, server.artifacts[owner].manifest
        held = server.run(owner).files if kind == "run" else server.run("artifacts").files
        if self.command == "PUT":
            held[name if kind == "run" else rest] = body
            return 200, b""
        return 200, held.get(name, b"")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    held: Server

    def handle_error(self, *_: object) -> None:  # clients that went away are none of our business
        return None


@contextmanager
def serving(port: int = 0, held: Server | None = None) -> Iterator[Server]:
    """A server on loopback until the block ends; `held` goes on from what another one got.

    W&B's service in this process remembers the address it was started with, so it is ended before
    and after.
    """
    end_service()
    http = _Http(("127.0.0.1", port), _Handler)
    server = http.held = held or Server()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(
        target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        end_service()
        http.shutdown()
        http.server_close()
        thread.join()


def end_service() -> None:
    """End the service of W&B's client in this process, if there is one."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def stream(run: Run, request: dict[str, Any]) -> dict[str, Any]:
    """Take what file_stream says: lines of the history by their offsets, the summary, and how the
    run ended.
    """
    for name, part in (request.get("files") or {}).items():
        lines = [json.loads(line) for line in part["content"] if line.strip()]
        if name == "wandb-history.jsonl":
            run.lines |= {part["offset"] + i: line for i, line in enumerate(lines)}
        elif name == "wandb-summary.json":
            run.summary = lines[-1]
    if "exitcode" in request:
        run.exit_code = request["exitcode"]
    return {"limits": {}}


# ---------------------------------------------------------------- GraphQL


def answer(server: Server, query: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the operation named in the query gives."""
    words = query.replace("(", " ").replace("{", " ").split()
    name = words[1] if words[0] in ("query", "mutation") else words[0]
    server.asked.append(name)
    known = OPERATIONS.get(name)
    return (
        known(server, given)
        if known
        else {"errors": [{"message": f"unknown operation {name}"}], "data": None}
    )


def _viewer(_: Server, given: dict[str, Any]) -> dict[str, Any]:
    who = {
        "id": "1",
        "entity": ENTITY,
        "username": ENTITY,
        "email": "us@example.org",
        "flags": "{}",
        "teams": {"edges": []},
    }
    return {"data": {"viewer": who}}


def _features(_: Server, given: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"serverInfo": {"features": []}}}


def _bucket(run: Run) -> dict[str, Any]:
    project = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
    named = {
        "id": f"id-{run.name}",
        "name": run.name,
        "displayName": run.labels.get("displayName"),
        "description": "",
        "sweepName": None,
    }
    return {
        **named,
        "config": json.dumps(run.config),
        "project": project,
        "historyLineCount": len(run.lines),
    }


def _resume(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    run = server.runs.get(given["name"])
    model = {
        "id": "m",
        "name": given["project"],
        "entity": {"id": "e", "name": ENTITY},
        "bucket": None,
    }
    if run:
        tail = [json.dumps(run.rows[-1])] if run.lines else []
        counts = {
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps(tail),
            "eventsTail": "[]",
        }
        rest = {
            "summaryMetrics": json.dumps(run.summary),
            "tags": run.labels.get("tags"),
            "notes": None,
            "wandbConfig": json.dumps({"t": 1}),
        }
        model["bucket"] = {**_bucket(run), **counts, **rest}
    return {"data": {"model": model}}


def _upsert(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    inserted = given["name"] not in server.runs
    run = server.run(given["name"], given.get("project") or "")
    run.project = given.get("project") or run.project
    run.labels |= {
        key: given[key]
        for key in ("displayName", "groupName", "jobType", "tags", "notes")
        if given.get(key) is not None
    }
    if given.get("config"):
        run.config = json.loads(given["config"])
    return {"data": {"upsertBucket": {"bucket": _bucket(run), "inserted": inserted}}}


def _run_files(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    files = [
        {"name": name, "uploadUrl": f"{server.url}/storage/run/{given['run']}/{name}"}
        for name in given["files"]
    ]
    return {
        "data": {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
    }


def _listed(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    only = json.loads(given.get("filters") or "{}").get("name")
    matching = [
        run
        for run in server.runs.values()
        if run.project == given["project"] and only in (None, run.name)
    ]
    first = int(given.get("cursor") or 0)
    shown = matching[first : first + given["perPage"]]
    edges = [
        {
            "node": {"name": run.name, "historyLineCount": len(run.lines), "state": _state(run)},
            "cursor": str(first + i + 1),
        }
        for i, run in enumerate(shown)
    ]
    more = {"endCursor": str(first + len(shown)), "hasNextPage": first + len(shown) < len(matching)}
    return {"data": {"project": {"runs": {"edges": edges, "pageInfo": more}} if matching else None}}


def _state(run: Run) -> str:
    return {None: "running", 0: "finished"}.get(run.exit_code, "failed")


def _create_artifact(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    fields = given["input"]
    name = fields["artifactCollectionName"]
    known = next(
        (a for a in server.artifacts.values() if (a.name, a.digest) == (name, fields["digest"])),
        None,
    )
    if known is None:
        id = f"artifact-{len(server.artifacts)}"
        known = Artifact(
            id,
            name,
            fields["artifactTypeName"],
            fields["digest"],
            fields["runName"],
            fields.get("metadata"),
        )
        server.artifacts[id] = known
    sequence = {"id": f"sequence-{known.name}", "latestArtifact": None}
    return {
        "data": {
            "createArtifact": {
                "artifact": {"id": known.id, "state": known.state, "artifactSequence": sequence}
            }
        }
    }


def _manifest(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    of = given.get("artifactID") or given.get("artifactManifestID", "").removeprefix("manifest-")
    file = {
        "id": f"file-{of}",
        "uploadUrl": f"{server.url}/storage/manifest/{of}",
        "uploadHeaders": [],
    }
    made = {"artifactManifest": {"id": f"manifest-{of}", "file": file}}
    return {"data": {"createArtifactManifest": made, "updateArtifactManifest": made}}


def _artifact_type(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"project": {"artifact": None}}}


def _artifact(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    known, long_ago = server.artifacts[given["id"]], "2026-01-01T00:00:00"
    project = {
        "__typename": "Project",
        "id": "p",
        "internalId": "p",
        "name": "project",
        "entity": {"__typename": "Entity", "id": "e", "name": ENTITY},
    }
    sequence = {
        "__typename": "ArtifactSequence",
        "id": f"sequence-{known.name}",
        "name": known.name,
        "project": project,
    }
    plain = {
        "id": known.id,
        "versionIndex": 0,
        "description": None,
        "metadata": json.dumps(known.metadata or {}),
        "state": known.state,
    }
    times = {
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "createdAt": long_ago,
        "updatedAt": None,
    }
    rest = {
        "tags": [],
        "historyStep": None,
        "size": 0,
        "digest": known.digest,
        "commitHash": None,
        "fileCount": 1,
        "aliases": [],
    }
    artifact_fields = {
        "__typename": "Artifact",
        "artifactSequence": sequence,
        "artifactType": {"name": known.type},
        **plain,
        **times,
        **rest,
    }
    return {"data": {"artifact": artifact_fields}}


def _artifact_files(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    edges = [
        {
            "node": {
                "id": spec["name"],
                "name": spec["name"],
                "displayName": spec["name"],
                "storagePath": None,
                "uploadHeaders": [],
                "uploadUrl": f"{server.url}/storage/artifact/{spec['artifactID']}/{spec['name']}",
                "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
        }
        for spec in given["input"]["artifactFiles"]
    ]
    return {"data": {"createArtifactFiles": {"files": {"edges": edges}}}}


def _commit(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    artifact = server.artifacts[given["artifactID"]]
    artifact.state = "COMMITTED"
    return {
        "data": {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}
    }


def _use(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    fields = given["input"]
    used = server.run(fields["runName"]).used
    if fields["artifactID"] not in used:
        used.append(fields["artifactID"])
    return {"data": {"useArtifact": {"artifact": {"id": fields["artifactID"]}}}}


def _view(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    server.views.append(given)
    named = {
        "id": f"view-{len(server.views)}",
        "name": given["name"],
        "displayName": given["displayName"],
        "type": given["type"],
    }
    project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
    rest = {
        "description": given["description"],
        "spec": given["spec"],
        "updatedAt": "2026-01-01T00:00:00",
        "project": project,
    }
    return {"data": {"upsertView": {"view": {**named, **rest}, "inserted": True}}}


def _project_id(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    exists = any(run.project == given["projectName"] for run in server.runs.values())
    return {"data": {"project": {"id": "p", "internalId": "p"} if exists else None}}


def _projects(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "__typename": "Project",
        "entityName": ENTITY,
        "createdAt": "2026-01-01T00:00:00",
        "isBenchmark": False,
        "user": None,
    }
    names = {run.project for run in server.runs.values() if run.project}
    edges = [{"node": {"id": name, "name": name, **plain}} for name in sorted(names)]
    return {
        "data": {
            "models": {
                "pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False},
                "edges": edges,
            }
        }
    }


OPERATIONS = {
    "GetProjects": _projects,
    "UpsertView2": _view,
    "upsertView": _view,
    "ProjectInternalId": _project_id,
    "Viewer": _viewer,
    "ServerFeaturesQuery": _features,
    "RunResumeStatus": _resume,
    "UpsertBucket": _upsert,
    "CreateRunFiles": _run_files,
    "SyncedRuns": _listed,
    "CreateArtifact": _create_artifact,
    "CreateArtifactManifest": _manifest,
    "UpdateArtifactManifest": _manifest,
    "CreateArtifactFiles": _artifact_files,
    "CommitArtifact": _commit,
    "UseArtifact": _use,
    "ArtifactType": _artifact_type,
    "ArtifactByID": _artifact,
}
