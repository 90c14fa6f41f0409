"""What is hard, by class, and what the images of the runs are."""

from discl.config.experiment import Experiment
from discl.harness.report.page import page
from discl.harness.report.section import draw_section
from discl.harness.report.tables.hard_classes import hard_classes
from tests import results
from tests.reports import HOSTILE, comparison_of

TWO = {"static": [30, 34], "real_rebalanced": [20, 22]}


def test_the_smallest_classes_come_first_with_the_photos_that_images_are_made_from() -> None:
    found = hard_classes(comparison_of(TWO))
    assert found is not None
    assert [(line.name, line.photos, line.hard) for line in found.lines[:4]] == [
        ("truck", 5, 5),
        ("ship", 8, 8),
        ("horse", 13, 13),
        ("frog", 23, 0),
    ]
    assert len(found.lines) == found.total == 10
    assert found.sentence == ""


def test_the_images_say_what_their_generator_had_seen() -> None:
    run = results.result(Experiment(results.spec(), "static", 0))
    told = {**run.provenance, "training_data": HOSTILE["script"]}
    found = hard_classes(comparison_of(TWO, provenance=told))
    assert found is not None
    assert found.images["made by"].startswith("blend")
    assert found.images["which had seen"] == HOSTILE["script"]
    assert found.images["levels"].endswith(" % of the photo")
    text = page([draw_section(comparison_of(TWO, provenance=told))], "")
    assert "<dt>which had seen</dt><dd>&lt;/script&gt;" in text


def test_photos_that_models_choose_are_not_counted_but_the_verb_that_lists_them_is_named() -> None:
    run = results.result(Experiment(results.spec(), "static", 0))
    rule = {"name": "low_confidence", "parameters": {}, "version": 1}
    made = comparison_of(TWO, identity={**run.identity, "hard_rule": rule})
    found = hard_classes(made)
    assert found is not None
    assert {line.hard for line in found.lines} == {None}
    assert "discl hard cifar10_lt --scale smoke lists them" in found.sentence


def test_without_counts_or_images_nothing_is_made_up() -> None:
    assert hard_classes(comparison_of(TWO, counts=[])) is None
    run = results.result(Experiment(results.spec(), "real_only", 0))
    found = hard_classes(comparison_of(TWO, identity=run.identity))
    assert found is not None
    assert found.images == {}
