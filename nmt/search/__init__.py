"""From a model to translations: greedy and beam search, which use a model through the `Seq2Seq` contract only.

The public names are the searches that a run folder may name (`nmt.run.registry`).
"""

from nmt.search.beam import BeamSearch
from nmt.search.greedy import GreedySearch

__all__ = ["BeamSearch", "GreedySearch"]
