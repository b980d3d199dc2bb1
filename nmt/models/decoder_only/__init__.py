"""Decoder-only models: source and target in one stack of self-attention, without encoder and without cross-attention.

In reading order:

    stack.py           the layers, which positions may attend to which, and the weights that a record asks for
    model.py           two models: DecoderOnly, whose source is causal, and PrefixLM, whose source is bidirectional
    decoding_step.py   the stack for one more target position, written for speed
"""

from nmt.models.decoder_only.model import DecoderOnly, PrefixLM

__all__ = ["DecoderOnly", "PrefixLM"]
