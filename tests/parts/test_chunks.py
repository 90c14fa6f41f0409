import json
import struct
from pathlib import Path

import pytest

from discl.core.compute.room import Room, too_many, too_many_processes
from discl.files.networks.weight_bytes import weight_bytes
from discl.parts.generators.base.chunks import chunk_of


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), 256),
        ((256, 256), 128),
        ((264, 480), 64),
        ((512, 512), 32),
        ((1024, 1024), 8),
        ((4096, 8192), 1),
        (None, 32),
    ],
)
def test_small_images_are_denoised_in_larger_groups_and_large_in_smaller_on_a_gpu_alone(
    size: tuple[int, int] | None, expected: int
) -> None:
    assert chunk_of("cuda:1", lambda: size) == expected
    assert chunk_of("cpu", lambda: size) == 32


def test_weights_are_counted_without_being_read(tmp_path: Path) -> None:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": "F16", "shape": [3, 5], "data_offsets": [0, 30]},
            "b": {"dtype": "F16", "shape": [], "data_offsets": [30, 32]},
        }
    ).encode()
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "some.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp_path / "torn.safetensors").write_bytes(b"abc")
    assert weight_bytes(tmp_path, 4) == 4 * 16


def test_more_workers_than_memory_are_told_with_how_many_fit() -> None:
    gpu = Room(20_000_000_000, "NVIDIA L4", True)
    assert not too_many(3, 6_000_000_000, gpu)
    assert not too_many(9, 6_000_000_000, None)
    assert too_many(4, 6_000_000_000, gpu) == (
        "4 workers side by side: each holds weights of 6 GB at least, and NVIDIA L4 has 20.0 GB"
        " of memory free: at most 3 fit; lower --workers"
    )
    assert "not even one fits" in too_many(2, 30_000_000_000, gpu)
    here = Room(20_000_000_000, "this machine", False)
    assert "0.022 GB" in too_many(5000, 22_000_000, here)
    assert not too_many_processes(8, here)
    assert not too_many_processes(5000, gpu)
    assert "lower --workers to 88 at most" in too_many_processes(5000, here)
