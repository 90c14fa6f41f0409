from typing import Any

import pytest
import torch
from torch import nn

from discl.engine.evaluation.wise_ft import interpolated, wise


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    for _ in range(seed):
        network(torch.randn(8, 4))
    return network


def _equal(one: Any, other: Any) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one.keys() | other.keys())


def test_the_ends_are_the_ends_to_the_last_bit() -> None:
    first, last = _network(1).state_dict(), _network(2).state_dict()
    counter = {"1.num_batches_tracked": last["1.num_batches_tracked"]}
    assert _equal(interpolated(first, last, 0.0), first | counter)
    assert _equal(interpolated(first, last, 1.0), last)


def test_between_them_weights_and_statistics_lie_between_and_counters_are_the_last() -> None:
    first, last = _network(1).state_dict(), _network(3).state_dict()
    between = interpolated(first, last, 0.25)
    for key in ("0.weight", "1.running_var"):
        assert torch.allclose(between[key], 0.75 * first[key] + 0.25 * last[key])
    assert between["1.num_batches_tracked"] == 3


def test_half_precision_stays_what_it_is() -> None:
    state = {"weight": torch.tensor([1.0, 2.0], dtype=torch.bfloat16)}
    assert interpolated(state, state, 0.3)["weight"].dtype == torch.bfloat16


def test_states_of_different_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="only one has '1.bias'"):
        interpolated(nn.Sequential(nn.Linear(4, 3)).state_dict(), _network(1).state_dict(), 0.5)


def _bias(network: Any) -> float:
    return float(network.bias.detach())


def test_the_best_alpha_is_found_and_left_in_the_network() -> None:
    network, first, last = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)
    for each, bias in ((first, 0.0), (last, 10.0)):
        nn.init.constant_(each.bias, bias)
    alpha, state = wise(
        network,
        first.state_dict(),
        last.state_dict(),
        [1.0, 0.0, 0.4, 0.8],
        lambda n: -abs(_bias(n) - 5),
    )
    assert alpha == 0.4
    assert _equal(network.state_dict(), state)
    assert _bias(network) == pytest.approx(4.0)


def test_of_equal_scores_the_one_nearest_to_the_trained_weights_wins() -> None:
    network = nn.Linear(1, 1)
    assert (
        wise(network, network.state_dict(), network.state_dict(), [0.2, 0.6, 0.4], lambda _: 0.5)[0]
        == 0.6
    )
