"""Parallel text: from corpora to padded batches. The public names of this package are the corpora.

    corpus, hub, grammar, scenes → tokenizer → encoding → cleaning, sampler → loader → batch

corpus.py, hub.py     parallel text from files and from the Hugging Face hub
readers.py            which files form a split; tables.py, text_file.py and file_format.py read them
hold_out.py           validation pairs taken from the training split
mixed.py              a training split with the pairs of several corpora
text.py               text without translations, for pre-training; noise/ hides a part of it
grammar/              the built-in corpus, written by a grammar
scenes/               pictures of coloured shapes, with captions
tokenizer/            text to piece ids and back, and random segmentations
encoding.py           a split as piece ids, on disk
cleaning.py           drops pairs that teach nothing or teach wrong things
sampler.py, loader.py which sentences form a batch, and the thread that prepares the batches
batch.py              padded tensors and masks
statistics.py         lengths, unknown pieces and leaks, for `nmt doctor`
cache.py              where computed files are kept; counter_rng.py: random numbers by seed and counter
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "FilesCorpus": "nmt.data.corpus",
    "GrammarCorpus": "nmt.data.grammar",
    "GrammarDocuments": "nmt.data.grammar",
    "HoldOutCorpus": "nmt.data.hold_out",
    "HubCorpus": "nmt.data.hub",
    "MixedCorpus": "nmt.data.mixed",
    "SceneCorpus": "nmt.data.scenes.corpus",
    "TextCorpus": "nmt.data.text",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Imports a corpus when it is first used, because its library `datasets` takes a second to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
