"""Whether the packages that we install are the locked ones, and what is known against them.

`make audit` runs it. It exits with 0 where nothing is known against any, 1 where something is or
the lock does not fit, and 3 where the service cannot be asked and so nothing is known.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVICE = "https://api.osv.dev"
FINE, FAULT, UNKNOWN = 0, 1, 3
TIMEOUT_S = 20.0
TOOLS = {"pip", "uv"}  # they install, and are not installed from the lock

Packages = dict[str, str]  # name as the index writes it -> version


def constraints(text: str) -> Packages:
    """The pins of constraints.txt."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M)
    return {_normal(name): version for name, version in found}


def locked(text: str) -> dict[str, tuple[str, int]]:
    """Package -> (version, number of hashes)."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)[^\n]*\n((?:    --hash=[^\n]+\n?)*)", text, re.M)
    return {
        _normal(name): (version, len(re.findall(r"sha256:[0-9a-f]{64}\b", hashes)))
        for name, version, hashes in found
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def faults(pins: Packages, lock: Mapping[str, tuple[str, int]]) -> list[str]:
    """Where the lock does not fit the pins, a sentence each."""
    told = []
    for name, version in sorted(pins.items()):
        in_lock, _ = lock.get(name, ("", 0))
        if in_lock != version and name not in TOOLS:
            told.append(f"lock.txt has {name} {in_lock or 'not at all'}, constraints.txt {version}")
    told += [f"lock.txt has no hash of {name}" for name, (_, hashes) in lock.items() if not hashes]
    return told


def advisories(packages: Packages, service: str = SERVICE) -> dict[str, list[str]]:
    """Package -> ids of what is known against its version; raises OSError where nobody answers."""
    asked = sorted(packages.items())
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in asked
    ]
    request = urllib.request.Request(  # noqa: S310 - https, or a test's loopback
        f"{service}/v1/querybatch",
        json.dumps({"queries": queries}).encode(),
        {"Content-Type": "application/json", "User-Agent": "discl"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        results = json.loads(answer.read())["results"]
    return {
        name: [known["id"] for known in result["vulns"]]
        for (name, _), result in zip(asked, results, strict=True)
        if result.get("vulns")
    }


def main(root: Path = ROOT, service: str = SERVICE) -> int:
    """Print what is found; returns the exit code."""
    pins = constraints((root / "constraints.txt").read_text("utf-8"))
    lock = locked((root / "lock.txt").read_text("utf-8"))
    if wrong := faults(pins, lock):
        print("\n".join([*wrong, "`make lock` writes lock.txt again"]))
        return FAULT
    packages = {name: version for name, (version, _) in lock.items()}
    try:
        known = advisories(packages, service)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(
            f"nothing is known of these {len(packages)} packages: {service} cannot be asked"
            f" ({error}); the lock fits, and holds a hash of each"
        )
        return UNKNOWN
    for name, ids in known.items():
        print(f"{name} {packages[name]}: {', '.join(ids)}; see https://osv.dev/{ids[0]}")
    print(f"{len(packages)} packages were asked for, something is known against {len(known)}")
    return FAULT if known else FINE


if __name__ == "__main__":
    sys.exit(main())
