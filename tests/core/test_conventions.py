import numpy as np
import pytest

from discl.core.conventions import SHOTS, id_test_split
from discl.core.errors import UserError

COUNTS = np.array([0, 19, 20, 21, 99, 100, 101])


@pytest.mark.parametrize(
    ("rule", "groups"), [("kang", "ffmmmmM"), ("oltr", "fffmmMM"), ("ldmlr", "ffmmmMM")]
)
def test_every_class_is_in_one_group_and_the_edges_are_the_published_ones(
    rule: str, groups: str
) -> None:
    members = SHOTS[rule].members(COUNTS)
    assert (
        "".join(
            {"many": "M", "medium": "m", "few": "f"}[name]
            for i in range(7)
            for name, mine in members.items()
            if mine[i]
        )
        == groups
    )


def test_the_words_are_the_edges() -> None:
    assert SHOTS["kang"].words() == {
        "many": "more than 100",
        "medium": "20 to 100",
        "few": "fewer than 20",
    }
    assert SHOTS["oltr"].words() == {
        "many": "more than 99",
        "medium": "21 to 99",
        "few": "fewer than 21",
    }


def test_home_is_test_or_else_id_test() -> None:
    assert id_test_split(["train", "val", "test", "ood/fog-1"]) == "test"
    assert id_test_split(["ood/cameras", "id_test"]) == "id_test"
    with pytest.raises(
        UserError, match="neither a test nor an id_test split among ood/cameras, val"
    ):
        id_test_split(["val", "ood/cameras"])
