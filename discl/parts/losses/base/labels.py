"""Labels as shares of each class, as mixed images have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


def shares(labels: Tensor, classes: int) -> Tensor:
    """float [b, c], each row summing to 1, of labels [b] or [b, c]."""
    from torch.nn.functional import one_hot

    return one_hot(labels, classes).float() if labels.ndim == 1 else labels


class ImageClasses(NamedTuple):
    """The classes of the images of a batch: k = b of whole labels, more of mixed images."""

    logits: Tensor  # float32 [k, c], of the image
    labels: Tensor  # [k], the class
    shares: Tensor  # float32 [k], of the class in the image; those of an image sum to 1


def image_classes(logits: Tensor, labels: Tensor) -> ImageClasses:
    """A row for each image and class in it, of logits [b, c] and labels [b] or [b, c].

    The loss of a mixed image is the sum of its classes' losses by their shares.
    """
    import torch

    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if labels.ndim == 1:
        return ImageClasses(logits, labels, logits.new_ones(len(labels)))
    rows, classes = labels.nonzero(as_tuple=True)
    return ImageClasses(logits[rows], classes, labels[rows, classes].to(logits.dtype))
