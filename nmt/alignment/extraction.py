"""From attention weights between words to hard links."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmt.data.pharaoh import Link


def argmax_links(weights: NDArray[np.floating]) -> set[Link]:
    """Links each target word to the source word with its highest weight; the first one if several are equal.

    Args:
        weights: (T, S) weight of each source word for each target word; S ≥ 1 unless T is 0.
    """
    return {(int(source), target) for target, source in enumerate(weights.argmax(1))} if weights.size else set()


def threshold_links(weights: NDArray[np.floating], threshold: float) -> set[Link]:
    """Links each target word to all source words with at least this weight, so that it can have several links or none.

    Args:
        weights: as for `argmax_links`.
        threshold: minimum weight of a link.
    """
    return {(int(source), int(target)) for target, source in np.argwhere(weights >= threshold)}
