"""From a model to translations: greedy and beam search, which know nothing of a model but its contract."""

from nmt.search.beam import BeamSearch
from nmt.search.greedy import GreedySearch
from nmt.search.hypothesis import Hypothesis

__all__ = ["BeamSearch", "GreedySearch", "Hypothesis"]
