"""How far corrupted photos are from the clean ones: the table of docs/explanation/corruptions.md.

python benchmarks/perf/corruptions.py [PHOTOS]
"""

from __future__ import annotations

import sys

import numpy as np

from discl.parts.datasets.cifar10.corruptions import FAMILIES, SEVERITIES, corrupt
from discl.parts.datasets.cifar10_lt import Cifar10LT


def table(photos: int) -> dict[str, list[float]]:
    """Peak signal-to-noise ratio in dB, mean over test photos, by corruption and severity."""
    split = Cifar10LT(ood_photos=photos).split("ood/low_light-1")  # its rows are those of all
    test = Cifar10LT().split("test")
    at = {name: row for row, name in enumerate(test.ids.tolist())}
    clean = np.asarray(test.pixels[[at[name] for name in split.ids.tolist()]])
    ratios: dict[str, list[float]] = {}
    for family in FAMILIES:
        ratios[family] = []
        for severity in SEVERITIES:
            difference = corrupt(family, severity, clean, split.ids).astype(float) - clean
            errors = (difference**2).mean((1, 2, 3))
            ratios[family].append(float(10 * np.log10(255**2 / errors).mean()))
    return ratios


if __name__ == "__main__":
    for name, row in table(int(sys.argv[1]) if len(sys.argv) > 1 else 500).items():
        print(f"| `{name}` | {' | '.join(f'{ratio:.1f}' for ratio in row)} |")
