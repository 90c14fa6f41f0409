"""The table of image-to-image classes knows all of the installed diffusers."""

import re
import runpy
from pathlib import Path

import diffusers

from discl.parts.generators.base.families import FAMILIES
from discl.parts.generators.base.pipelines.forms import REFUSED, WITH_INSTRUCTIONS, WITH_STRENGTH
from discl.parts.generators.base.pipelines.table import COMPARED, classes_of_diffusers, row_of
from tests.pipeline_calls import BY_INSTRUCTION, BY_STRENGTH

SCRIPT = Path(__file__).parents[3] / "docs" / "_generators_table.py"


def test_each_class_of_diffusers_is_driven_or_refused_with_a_sentence() -> None:
    rows = {name: row_of(name) for name in classes_of_diffusers()}
    new = [name for name, row in rows.items() if row is None]
    assert not new, f"give these a form, or a reason, in pipelines/forms.py: {', '.join(new)}"
    for name, row in rows.items():
        assert row is not None
        assert bool(row.generators) == bool(row.levels) == (name not in REFUSED)
        if not (row.generators and row.equal and row.lora and row.quantised):
            assert re.fullmatch(r"[A-Z].*\.", row.why), row


def test_what_is_called_equal_is_compared_by_a_test() -> None:
    calls = (*BY_STRENGTH.values(), *BY_INSTRUCTION.values())
    assert {call.name for call in calls} == COMPARED


def test_nothing_in_the_table_is_unknown_to_diffusers() -> None:
    for name in (*WITH_STRENGTH, *WITH_INSTRUCTIONS, *REFUSED, *FAMILIES):
        assert hasattr(diffusers, name), f"{name} has gone: take it out of pipelines/forms.py"


def test_the_page_has_the_table_that_the_code_gives() -> None:
    written = runpy.run_path(str(SCRIPT))
    page = written["PAGE"].read_text("utf-8")
    current = written["on_page"](page, written["tables"]()) == page
    assert current, "run: python docs/_generators_table.py --write"
