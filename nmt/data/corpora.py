"""The corpora that a run folder may name."""

from nmt.data.corpus import Corpus, FilesCorpus, HubCorpus

__all__ = ["Corpus", "FilesCorpus", "HubCorpus"]
