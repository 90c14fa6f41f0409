from dataclasses import replace

import numpy as np
import torch
from torch import nn

from discl.core.interfaces import Split
from discl.engine.evaluation.predict import Normaliser, predict


def test_predictions_say_the_groups_of_a_split_that_has_several() -> None:
    one = Split(
        np.array(["a", "b", "c"]),
        np.array([0, 1, 0]),
        np.array([7, 7, 7]),
        np.zeros((3, 4, 4, 3), np.uint8),
    )
    several = replace(one, groups=np.array([3, 9, 3]))
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    saved = predict(
        network,
        {"val": one, "ood/cameras": several},
        Normaliser((0.5,) * 3, (0.25,) * 3),
        torch.device("cpu"),
    )
    assert saved["ood/cameras/groups"].tolist() == [3, 9, 3]
    assert "val/groups" not in saved
