"""The Transformer (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

In reading order:

    sublayers.py       the residual connection and the feed-forward network, of which layers consist besides attention
    encoder.py         the encoder: N layers of self-attention and feed-forward
    decoder.py         the decoder: N layers of self-attention, cross-attention and feed-forward
    model.py           the encoder-decoder: both, with embeddings and positions
    pictures.py        the same with a source that may begin with a picture, read patch by patch
    cache.py           the keys and values of the target so far, while decoding
    decoding_step.py   the decoder for one more target position, written for speed
    linear.py          the encoder-decoder with linear self-attention
"""

from nmt.models.transformer.linear import LinearTransformer
from nmt.models.transformer.model import Transformer
from nmt.models.transformer.pictures import PictureTransformer

__all__ = ["LinearTransformer", "PictureTransformer", "Transformer"]
