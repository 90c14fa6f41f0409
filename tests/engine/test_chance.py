"""The generators of a GPU are kept and put back as that of the CPU."""

import pytest
import torch

from discl.engine import chance

CUDA = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.Generator:
    """A generator that stands for a GPU's."""
    generator = torch.Generator()
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: generator.get_state())
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: generator.set_state(state)
    )
    return generator


def _draw(gpu: torch.Generator) -> list[float]:
    return [float(torch.rand(())), float(torch.rand((), generator=gpu))]


def test_both_generators_go_on_where_they_were(gpu: torch.Generator) -> None:
    kept = chance.state_of(CUDA)
    drawn = _draw(gpu)
    assert _draw(gpu) != drawn
    chance.restore(kept, CUDA)
    assert _draw(gpu) == drawn


def test_a_state_of_the_cpu_alone_can_be_put_back_too(gpu: torch.Generator) -> None:
    kept = torch.get_rng_state()  # as earlier versions kept it
    drawn = float(torch.rand(()))
    chance.restore(kept, CUDA)
    assert float(torch.rand(())) == drawn
    assert set(chance.state_of(torch.device("cpu"))) == {"cpu"}
