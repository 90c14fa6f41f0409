"""float32 is float32 while images are made and scored, by whichever thread."""

from __future__ import annotations

import torch

from discl.core.compute.precision import true_float32


def test_the_last_who_leaves_puts_back_what_was() -> None:
    before = torch.backends.cudnn.allow_tf32
    one, other = true_float32(), true_float32()
    one.__enter__()
    other.__enter__()
    assert not torch.backends.cudnn.allow_tf32
    one.__exit__(None, None, None)
    assert not torch.backends.cudnn.allow_tf32
    other.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 == before
