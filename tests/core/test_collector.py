"""The search for garbage is off in a block, and afterwards as it was."""

from __future__ import annotations

import gc

import pytest

from discl.core.compute.collector import without_collector


@without_collector()
def fails_where_it_is_off() -> None:
    if not gc.isenabled():
        raise KeyError


def test_the_collector_is_off_in_the_block_and_on_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError):
        fails_where_it_is_off()
    assert gc.isenabled()


def test_one_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
