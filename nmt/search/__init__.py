"""From a model to translations: greedy and beam search, which use a model through the `Seq2Seq` contract only."""

from nmt.search.beam import BeamSearch
from nmt.search.greedy import GreedySearch
from nmt.search.hypothesis import Hypothesis

__all__ = ["BeamSearch", "GreedySearch", "Hypothesis"]
