"""The committed table of waits: python -m tests.pretended_gpu.table [CASE]... writes it again.

It holds for each case what functions of ours, and libraries that they called, waited for: of one
call that makes four images (`denoiser_calls`), of one call of the scorer, or of one step of
training. Waits of whole commands are not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.pretended_gpu.cases import CASES

COUNTED = [name for name in CASES if not name.startswith("command")]
TABLE = Path(__file__).parent / "waits.json"
_ROOT = Path(__file__).parents[2]


def committed() -> dict[str, Any]:
    """The table by case."""
    table: dict[str, Any] = json.loads(TABLE.read_text())
    return table


def answers(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """What the cases answer in a process that pretends; `folder` keeps its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.pretended_gpu.session", str(folder), *names]
    told = subprocess.run(
        command,
        cwd=_ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if told.returncode:
        raise RuntimeError(told.stderr)
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return found


def line(answer: dict[str, Any]) -> dict[str, Any]:
    """What the table holds of a case."""
    calls = {key: answer[key] for key in ("denoiser_calls",) if key in answer}
    return calls | answer["waits"]


def main(names: list[str]) -> None:
    """Count these cases anew, or all."""
    with tempfile.TemporaryDirectory() as folder:
        found = answers(Path(folder), names or COUNTED)
    if broken := {name: answer["error"] for name, answer in found.items() if answer["error"]}:
        raise SystemExit("\n".join(f"{name}: {error}" for name, error in broken.items()))
    counted = committed() | {name: line(answer) for name, answer in found.items()}
    table = {name: counted[name] for name in COUNTED if name in counted}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    for name, answer in found.items():
        shown = {key: answer[key] for key in ("apart", "losses", "on_cpu") if key in answer}
        print(f"{answer['seconds']:6.2f} s  {name}  {shown}")


if __name__ == "__main__":
    main(sys.argv[1:])
