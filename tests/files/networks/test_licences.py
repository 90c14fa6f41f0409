"""Licences of checkpoints, as their model cards state them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from discl.files.networks.licences import keep_licence, licence_of, licence_sentence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: openrail++\ntags:\n- x\n---\n# Card\n", "openrail++"),
        ("---\nlicense: other\nlicense_name: sai-nc-community\n---\n", "sai-nc-community"),
        ("---\nlicense: other\n---\n", "other"),
        ('---\nlicense: "mit"\n---\n', "mit"),
        ("---\ntags:\n- license\n---\nlicense: mit\n", "unknown"),
        ("license: mit\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_model_card_states_the_licence(tmp_path: Path, card: str | None, licence: str) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence_of(str(tmp_path)) == licence


def test_licences_of_common_checkpoints_are_known_before_they_are_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert licence_of("stabilityai/stable-diffusion-xl-base-1.0@main") == "openrail++"
    assert licence_of("nobody/nothing") == "unknown"
    assert licence_of("pkg://discl/assets/cifar10_diffusion") == "that of discl"


def test_a_licence_is_told_and_kept_beside_the_images(tmp_path: Path) -> None:
    def made_by(**given: Any) -> Any:
        return SimpleNamespace(checkpoint="owner/name", **given)

    assert licence_sentence(made_by(licence="mit")) == (
        "Licence of owner/name: mit, as its model card says."
    )
    assert "unknown here" in str(licence_sentence(made_by(licence="unknown")))
    assert licence_sentence(made_by()) is None
    for silent in (made_by(licence="unknown"), made_by()):
        keep_licence(tmp_path, silent)
    assert not list(tmp_path.iterdir())
    for _ in range(2):
        keep_licence(tmp_path, made_by(licence="mit"))
        assert '"licence": "mit"' in (tmp_path / "licence.json").read_text()
        (tmp_path / "licence.json").write_bytes(b"\xff")  # damaged: written again
