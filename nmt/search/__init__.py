"""From a model to translations: searches, which use a model through the `TranslationModel` contract only.

The public names are the searches that a run folder may name (`nmt.run.registry`).
"""

from nmt.search.beam import BeamSearch
from nmt.search.greedy import GreedySearch
from nmt.search.mbr import MinimumBayesRisk
from nmt.search.sampling import Sampling

__all__ = ["BeamSearch", "GreedySearch", "MinimumBayesRisk", "Sampling"]
