#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0: a flow-matching scheduler with `shift_terminal` gives a grid of one step that is not a number.
#
# A guess: `set_timesteps(1)` of FlowMatchEulerDiscreteScheduler begins at sigma 1 and ends at 0, whatever its settings; Qwen-Image's
# scheduler (dynamic shifting, shift_terminal = 0.02) is one of them, and few-step adapters of it are often tried with one step.
# Seen: `shift_terminal` stretches the grid so that its last place lies at 0.02, by dividing 1 - sigma by that of the last place; of one
# step the last place is the first, so 0 is divided by 0. All that is made from it is not finite, and nothing says so but NumPy's warning.
# With two steps or more the grid is as it should be: 1 .. 0.02, 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  diffusers==0.42.1 torch==2.13.0 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" -W ignore - <<'PY'
import diffusers
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

QWEN_IMAGE = {"use_dynamic_shifting": True, "shift_terminal": 0.02, "max_shift": 0.9, "max_image_seq_len": 8192}


def sigmas(steps, **settings):
    """The grid as diffusers' pipeline of Qwen-Image asks for it."""
    scheduler = FlowMatchEulerDiscreteScheduler(**settings)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=0.6)
    return scheduler.sigmas


for steps in (1, 2, 4):
    print(f"diffusers {diffusers.__version__}, torch {torch.__version__}: {steps} steps, sigmas {sigmas(steps, **QWEN_IMAGE).tolist()}")
without = QWEN_IMAGE | {"shift_terminal": None}
assert sigmas(1, **without).tolist() == [1.0, 0.0]
assert sigmas(1, **QWEN_IMAGE).isnan().tolist() == [True, False]
assert torch.allclose(sigmas(2, **QWEN_IMAGE), torch.tensor([1.0, 0.02, 0.0]))
assert sigmas(4, **QWEN_IMAGE).isfinite().all()
PY
