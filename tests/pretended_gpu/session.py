"""Runs cases in a process that pretends: python -m tests.pretended_gpu.session FOLDER CASE...

The answers are written to FOLDER/answers.json.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.pretended_gpu import build, device
from tests.pretended_gpu.ledger import Ledger


def main(folder: Path, names: list[str]) -> None:
    """Run the cases one after the other; one that fails says why, and the others go on."""
    ledger = device.start(build.library())
    import torch

    torch.set_num_threads(1)
    answers = {name: _answer(name, ledger, folder) for name in names}
    (folder / "answers.json").write_text(json.dumps(answers))


def _answer(name: str, ledger: Ledger, folder: Path) -> dict[str, Any]:
    from tests.pretended_gpu.cases import CASES

    ledger.empty()
    started = time.process_time()
    try:
        facts = CASES[name](ledger, folder)
    except Exception:
        return {"error": traceback.format_exc()}
    return facts | {"error": "", "seconds": time.process_time() - started}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
