"""Names attention heads, and silences heads of a model (Michel et al., 2019; Voita et al., 2019).

A head is named by kind, layer and number, both from 0: encoder.0.3 is the last of the four heads of the encoder's first
layer, cross.1.2 a head of the decoder's cross-attention, decoder.0.1 one of its self-attention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from nmt.errors import UserError
from nmt.models.attention import KINDS, Kind
from nmt.models.seq2seq import TranslationModel

HEAD_NAME = re.compile(rf"({'|'.join(KINDS)})\.([0-9]{{1,4}})\.([0-9]{{1,4}})")


@dataclass(frozen=True, order=True)
class Head:
    """One attention head of a model; `str` gives its name."""

    kind: Kind
    layer: int
    number: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.layer}.{self.number}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The head with this name.

        Raises:
            UserError: no head can have this name. The message begins with the commands' key, heads_off.
        """
        match = HEAD_NAME.fullmatch(name)
        if match is None:
            raise UserError(
                f"heads_off={name} is no name of a head: write KIND.LAYER.HEAD, such as encoder.0.3, where KIND is "
                "encoder, decoder or cross"
            )
        kind, layer, number = match.groups()
        return cls(kind, int(layer), int(number))  # type: ignore[arg-type]  # the expression matches kinds only


def list_heads(model: TranslationModel, *kinds: Kind) -> list[Head]:
    """All heads of a model of the given kinds; none for a model whose attention has no heads."""
    return [
        Head(kind, layer, number)
        for kind, layers in model.attention_layers().items()
        if kind in kinds
        for layer, attention in enumerate(layers)
        for number in range(attention.num_heads)
    ]


def parse_heads(names: Iterable[str]) -> list[Head]:
    """The heads with these names, sorted and without duplicates.

    Raises:
        UserError: no head can have one of these names.
    """
    return sorted({Head.parse(name) for name in names})


def silence_heads(model: TranslationModel, names: Iterable[str]) -> None:
    """Permanently removes what the heads with these names add to the outputs of their layers.

    Call it before `prepare_for_decoding`, which copies weights.

    Raises:
        UserError: the model has no such head.
    """
    existing = list_heads(model, *KINDS)
    for head in parse_heads(names):
        if head not in existing:
            raise UserError(f"heads_off={head}: {_describe_heads(existing)}")
        model.attention_layers()[head.kind][head.layer].silence(head.number)


def _describe_heads(heads: Sequence[Head]) -> str:
    """Says which heads a model has, for an error message."""
    if not heads:
        return "this model has no attention heads; a Transformer has them, and model/score=multi_head"
    groups = [[head for head in heads if head.kind == kind] for kind in KINDS]
    return "the model has no such head, only " + ", ".join(f"{group[0]} to {group[-1]}" for group in groups if group)
