"""Operators on meta tensors give what torch gives, the first time and again."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from discl.harness.price.memory import peak_bytes
from discl.harness.price.shapes import result_of
from discl.harness.price.work import counted

aten = torch.ops.aten


def test_a_call_that_is_known_gives_a_new_tensor_of_the_same_form() -> None:
    given = torch.empty(2, 3, 8, 8, device="meta").to(memory_format=torch.channels_last)
    kernels = torch.empty(5, 3, 3, 3, device="meta")
    call = (given, kernels, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    first, again = (result_of(aten.convolution.default, call, {}) for _ in range(2))
    expected = aten.convolution.default(*call)
    assert first is not again
    for each in (first, again):
        assert each.shape == expected.shape
        assert each.stride() == expected.stride()
        assert each.dtype == expected.dtype
        assert each.device.type == "meta"


def test_several_results_are_given_as_several() -> None:
    call = (torch.empty(2, 8, device="meta"), [8], None, None, 1e-5)
    expected = aten.native_layer_norm.default(*call)
    for _ in range(2):
        given = result_of(aten.native_layer_norm.default, call, {})
        assert [each.shape for each in given] == [each.shape for each in expected]


def test_numbers_that_are_equal_and_of_another_kind_are_another_call() -> None:
    whole = torch.empty(3, dtype=torch.int64, device="meta")
    for _ in range(2):
        assert result_of(aten.mul.Tensor, (whole, 1), {}).dtype == torch.int64
        assert result_of(aten.mul.Tensor, (whole, 1.0), {}).dtype == torch.float32
        assert result_of(aten.mul.Tensor, (whole, True), {}).dtype == torch.int64


def test_views_and_changes_in_place_stay_of_their_argument() -> None:
    tensor = torch.empty(4, 6, device="meta")
    for _ in range(2):
        for func, rest in ((aten.view.default, [24]), (aten._unsafe_view.default, [2, 12])):
            view = result_of(func, (tensor, rest), {})
            assert view.untyped_storage()._cdata == tensor.untyped_storage()._cdata
        assert result_of(aten.add_.Tensor, (tensor, 1), {}) is tensor


def test_values_are_worked_out_each_time() -> None:
    for value in (1.0, 2.0):
        given = result_of(aten.add.Tensor, (torch.tensor([value]), 1), {})
        assert given.item() == value + 1


def test_flops_forward_and_backward_are_those_of_torch() -> None:
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    network = torch.nn.Sequential(torch.nn.Conv1d(5, 5, 3, padding=1), layer, layer)
    given = torch.randn(2, 5, 16)

    def run() -> None:
        network(given).sum().backward()

    with FlopCounterMode(display=False) as real:
        run()
    assert counted(run).flops == real.get_total_flops()
    network.to("meta")
    given = torch.empty(2, 5, 16, device="meta")
    assert counted(run).flops == real.get_total_flops() == counted(run).flops
    assert counted(run) == counted(run)


def test_memory_that_is_held_is_the_same_when_calls_are_known() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.GELU(), torch.nn.Linear(32, 8))
    network.to("meta")
    given = torch.empty(16, 8, device="meta")
    with torch.no_grad():
        first, again = (peak_bytes(lambda: network(given)) for _ in range(2))
    assert first == again == 4 * 16 * 2 * 32
