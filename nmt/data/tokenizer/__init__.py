"""Text to piece ids and back.

tokenizer.py             the tokenizer: both sides' models, encoding, resampling, decoding, saving, loading
sentencepiece_model.py   training, loading and applying one SentencePiece model
given_models.py          models that another program has trained
model_file.py            serialized SentencePiece models
description.py           tokenizer.json in a run folder, and its validation
normalization.py         what is done to text before it is cut into pieces
training.py              a tokenizer trained on a split, cached
subword_sampling.py      random segmentations of a batch, word by word: the base class of both samplers
unigram_sampling.py      … for unigram models: sampling a path through a lattice
bpe_dropout.py           … for BPE models: skipping merges
"""

from nmt.data.tokenizer.sentencepiece_model import MASK
from nmt.data.tokenizer.subword_sampling import Ids
from nmt.data.tokenizer.tokenizer import Tokenizer

__all__ = ["MASK", "Ids", "Tokenizer"]
