"""The systems that are explored: trained runs, each loaded once, and again without some of its heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nmt.explore.gold import find_grammars
from nmt.models import PictureTransformer
from nmt.models.attention import KINDS, Kind
from nmt.models.heads import list_heads, parse_heads
from nmt.models.seq2seq import TranslationModel
from nmt.report.names import name_systems
from nmt.run import RunFolder
from nmt.run.registry import language_pair
from nmt.translator import Translator

if TYPE_CHECKING:  # imports the library `datasets`, which only the grammar needs
    from nmt.data.grammar import GrammarCorpus

MAX_VARIANTS = 4
"""Maximum number of copies of a system with heads switched off that stay in memory; the oldest one makes room."""


LoadTranslator = Callable[[RunFolder, Sequence[str]], Translator]
"""Loads the translator of a run without the heads that are named."""


@dataclass(frozen=True)
class AttentionSize:
    """The numbers of layers and of heads in each layer of one kind of attention."""

    layers: int
    heads: int


@dataclass(frozen=True)
class SystemInfo:
    """What a page needs to know about a system before it translates.

    Attributes:
        name: of its run, unique among the systems.
        architecture: the class of its model, such as "LuongRNN".
        source, target: the codes of its languages.
        kinds: the kinds of attention that it has, and their sizes.
        heads: the names of the heads that can be switched off, such as "encoder.0.3"; recurrent attention with a single
            head cannot.
        beam_size: of its search; 1 means greedy search.
        has_beam: its search can be shown as a tree; one that draws samples cannot.
        reads_pictures: a source line may begin with a picture.
        max_length: maximum number of source pieces, "</s>" included.
    """

    name: str
    architecture: str
    source: str
    target: str
    kinds: dict[Kind, AttentionSize]
    heads: list[str]
    beam_size: int
    has_beam: bool
    reads_pictures: bool
    max_length: int


class System:
    """A trained run under the name that users see. It is not thread-safe.

    Args:
        name: unique among the systems.
        folder: the run, or an ensemble of several.
        load: loads the run's translator without some heads.
        grammar: knows the gold links of its sentences; None without.

    Attributes:
        info: describes the system.

    Raises:
        UserError: the folder is damaged, or there is no such device.
    """

    def __init__(self, name: str, folder: RunFolder, *, load: LoadTranslator, grammar: GrammarCorpus | None) -> None:
        self.name = name
        self.folder = folder
        self.grammar = grammar
        self._load = load
        self._complete = load(folder, ())
        self._variants: dict[tuple[str, ...], Translator] = {}  # by the heads that are off, the newest last
        self.info = describe_system(name, self._complete, folder)

    def translator(self, heads_off: Sequence[str] = ()) -> Translator:
        """The system's translator, with all heads or without some.

        Args:
            heads_off: names of heads, see `nmt.models.heads`. The model is loaded again without them, unless that was
                done recently.

        Raises:
            UserError: there is no such head.
        """
        key = tuple(map(str, parse_heads(heads_off)))  # sorted, so that their order does not matter
        if not key:
            return self._complete
        variant = self._variants.pop(key, None) or self._load(self.folder, key)
        self._variants[key] = variant
        if len(self._variants) > MAX_VARIANTS:
            del self._variants[next(iter(self._variants))]
        return variant


def open_systems(folders: Sequence[RunFolder], *, load: LoadTranslator) -> list[System]:
    """Loads the best model of each run; see `name_systems` for the names.

    Raises:
        UserError: a run is listed twice, or `load` fails.
    """
    names = name_systems([folder.path for folder in folders])
    runs = zip(names, folders, find_grammars(folders), strict=True)
    return [System(name, folder, load=load, grammar=grammar) for name, folder, grammar in runs]


def describe_system(name: str, translator: Translator, folder: RunFolder) -> SystemInfo:
    """Describes a loaded system."""
    model = translator.model
    source, target = language_pair(folder.description("corpus"))
    return SystemInfo(
        name=name,
        architecture=type(model).__name__,
        source=source,
        target=target,
        kinds=measure_attention(model),
        heads=[str(head) for head in list_heads(model, *KINDS)],
        beam_size=translator.search.beam_size,
        has_beam=translator.search.has_beam,
        reads_pictures=isinstance(model, PictureTransformer),
        max_length=translator.max_length,
    )


def measure_attention(model: TranslationModel) -> dict[Kind, AttentionSize]:
    """The numbers of layers and heads of each kind of attention that a model has."""
    token = torch.zeros(1, 1, dtype=torch.int64, device=model.device)  # (1, 1), any token
    weights = model.attention(token, torch.ones_like(token, dtype=torch.bool), token)  # (1, L, H, 1, 1) each
    return {kind: AttentionSize(*each.shape[1:3]) for kind, each in weights.items()}
