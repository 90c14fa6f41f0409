"""Seesaw loss (Wang et al. 2021): rare classes are pushed down less by photos of frequent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.parts.losses.base.labels import image_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Seesaw:
    """Cross-entropy with the odds of every other class j multiplied by a factor.

    For a photo of class i, where i is the more frequent one, the factor has (n_j / n_i) ** `p`,
    which spares class j; where the network finds j more likely than i, it has (p_j / p_i) ** `q`,
    which takes part of that back. No gradient flows through factors. The paper counts the photos
    that training has seen so far; here the real counts are known from the start, and generated
    images do not change them. Of a mixed image each class's loss counts by the class's share.
    """

    version = 1
    mean_of_images = True

    def __init__(self, p: float = 0.8, q: float = 2.0) -> None:
        """Settings:

        `p`: exponent of the ratio of counts, which spares rarer classes.
        `q`: exponent of the ratio of probabilities, which takes part of that back for confusions.
        """
        if p < 0 or q < 0:
            raise UserError(f"loss.p = {p} and q = {q}: take 0 or more")
        self.p = p
        self.q = q

    @property
    def corrects_prior(self) -> bool:
        """Its factors shift logits by the ratio of counts, unless `p` is 0."""
        return self.p > 0

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy

        logits, classes, shares = image_classes(network(images), labels)
        log_counts = counts.clamp(min=1).log()
        rarer = (log_counts[None, :] - log_counts[classes][:, None]).clamp(max=0)  # [k, c]
        log_p = logits.detach().log_softmax(1)
        likelier = (log_p - log_p.gather(1, classes[:, None])).clamp(min=0)  # [k, c]
        # both are 0 for the class itself
        shifted = logits + self.p * rarer + self.q * likelier
        return (shares * cross_entropy(shifted, classes, reduction="none")).sum() / shares.sum()
