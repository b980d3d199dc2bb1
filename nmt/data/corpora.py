"""The corpora that a run folder may name."""

from nmt.data.corpus import Corpus, FilesCorpus, HubCorpus
from nmt.data.grammar import GrammarCorpus

__all__ = ["Corpus", "FilesCorpus", "GrammarCorpus", "HubCorpus"]
