"""`nmt plot`: the attention of one sentence as a picture, a page or data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.length_limit import remark_on_truncated
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import (
    SearchChanges,
    check_run_or_runs,
    describe_search,
    load_translator,
    open_run_or_runs,
)
from nmt.data.pharaoh import GoldLinks, check_links, format_links, parse_links
from nmt.data.words import Splitter, separate_words, spaced_words
from nmt.errors import UserError
from nmt.explore.analysis import describe_translation
from nmt.explore.beam_tree import beam_tree
from nmt.explore.gold import find_gold_links
from nmt.explore.page import render_page
from nmt.explore.systems import System, open_systems
from nmt.files import write_text
from nmt.models.attention import Kind
from nmt.report.alignment_plot import PICTURE_SUFFIXES, write_figure
from nmt.report.exhibits import Exhibit, build_figure, outline_links
from nmt.run import RunFolder
from nmt.translator import Attention, Translation, Translator, check_kinds, sanitize
from nmt.translator.arguments import Kinds
from nmt.translator.attention import NAMES

if TYPE_CHECKING:  # imports the library `datasets`, which only the grammar needs
    from nmt.data.grammar import GrammarCorpus

PROGRAM = "nmt plot"

SUFFIXES = (*PICTURE_SUFFIXES, ".html", ".json")
"""The formats that can be written."""

MAX_PAGE_WEIGHTS = 2**21
"""Maximum number of attention weights in a page; a browser takes a few seconds for so many."""

Numbers = list[int] | int | str | None
"""Layers or heads: one, several, "all", or None."""


class PlotSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/plot.yaml, which describes each setting."""

    run: list[Path] | str | None
    runs: list[Path] | str | None
    source: str
    target: str | None
    kinds: list[str] | str | None
    layers: Numbers
    heads: Numbers
    words: bool
    eos: bool
    gold: str | None
    out: Path
    search: Component | SearchChanges
    device: str

    def __post_init__(self) -> None:
        if self.suffix not in SUFFIXES:
            raise UserError(f"out={self.out}: the suffix selects the format and must be one of {' '.join(SUFFIXES)}")
        if not self.source.strip():
            raise UserError('source= contains no words: give a sentence, such as source="A dog runs."')
        check_run_or_runs(self.run, self.runs)
        if self.gold is not None and self.target is None:
            raise UserError("gold= needs target=: the links are those of a given pair")
        if self.kinds == []:
            raise UserError("kinds=[] names no kind of attention: choose cross, encoder, decoder or all")
        check_kinds(self.kinds or (), key="kinds")
        for key, numbers in (("layers", self.layers), ("heads", self.heads)):
            if numbers == [] or (isinstance(numbers, str) and numbers != "all"):
                raise UserError(f"{key}={numbers} must be a number from 0, a list such as [0,1], or all")

    @property
    def suffix(self) -> str:
        """The format to write, such as ".png"."""
        return self.out.suffix.lower()

    @property
    def all_kinds(self) -> tuple[Kind, ...]:
        """The kinds of attention to draw."""
        return check_kinds(self.kinds or "cross")


@dataclass(frozen=True)
class Shown:
    """What is shown of one system.

    Attributes:
        system: translates; its name is that of its run.
        translation: its own, or the given one with its scores and attention.
        gold: the word links between the source and the translation; None if they are not known.
        exhibits: the layers and heads that are shown, of each kind of attention that it has.
    """

    system: System
    translation: Translation
    gold: GoldLinks | None
    exhibits: dict[Kind, Exhibit]


def run(config: DictConfig) -> None:
    """Draws the attention of one system or several, and prints their translations."""
    settings = to_settings(config, PlotSettings)
    # 1. Translate with every system.
    kinds = settings.all_kinds
    systems = open_systems(open_run_or_runs(settings.run, settings.runs), load=partial(load, settings))
    translations = [translate(system, settings) for system in systems]

    # 2. Collect what is shown: the chosen layers and heads, and the gold links.
    knows_grammar = any(system.grammar is not None for system in systems)
    split = separate_words if settings.gold is None or knows_grammar else spaced_words
    shown = []
    for system, translation in zip(systems, translations, strict=True):
        gold = find_links(translation, settings, system.grammar, split)
        exhibits = {
            kind: make_exhibit(system.name, translation, kind, gold, settings, split)
            for kind in kinds
            if kind in translation.attention
        }
        shown.append(Shown(system, translation, gold, exhibits))
    lacking = [
        f"{each.system.name} has no {NAMES[kind]}" for kind in kinds for each in shown if kind not in each.exhibits
    ]
    if not any(each.exhibits for each in shown):
        raise UserError(f"{'; '.join(lacking)}, so there is nothing to draw: choose another run or other kinds")

    # 3. Write it.
    prepare_output_file(settings.out, key="out")
    if settings.suffix == ".json":
        write_text(settings.out, json.dumps(to_json(shown, settings), ensure_ascii=False) + "\n")
    elif settings.suffix == ".html":
        write_text(settings.out, draw_page(shown, settings, split))
    else:
        draw(shown, lacking, settings)
    for each in shown:
        print(each.translation.text if len(shown) == 1 else f"{each.system.name}\t{each.translation.text}")
    remark_on_truncated(PROGRAM, [1] if any(translation.truncated for translation in translations) else [])
    for sentence in lacking:
        print_message(PROGRAM, sentence)
    print_message(PROGRAM, f"wrote {settings.out}")


def load(settings: PlotSettings, folder: RunFolder, heads_off: Sequence[str]) -> Translator:
    """Loads a run with the search that the settings choose."""
    search = describe_search(folder, settings.search)
    return load_translator(folder, search, device=settings.device, batch_tokens=None, heads_off=heads_off)


def translate(system: System, settings: PlotSettings) -> Translation:
    """The system's translation, or the given one, with the wanted kinds of attention."""

    def warn(index: int, message: str) -> None:
        """Prints a warning about the source, which is the only line."""
        print_message(PROGRAM, f"source: {message}" if settings.run else f"{system.folder.path}: source: {message}")

    translator = system.translator()
    is_page = settings.suffix == ".html"  # its reader can choose among all kinds, and sees log-probabilities
    kinds: Kinds = "all" if is_page and settings.kinds is None else settings.all_kinds
    if settings.target is not None:
        return translator.force_decode(settings.source, settings.target, attention=kinds, warn=warn)
    translation = translator.translate(settings.source, attention=kinds, warn=warn)
    if not translation.source_tokens:
        raise UserError(f"source={settings.source} contains no words: the tokenizer keeps nothing of it")
    if is_page:
        forced = translator.force_decode(settings.source, translation.target_tokens, attention=())
        translation = replace(translation, log_probabilities=forced.log_probabilities)
    return translation


def draw(shown: Sequence[Shown], lacking: Sequence[str], settings: PlotSettings) -> None:
    """Writes a picture; its caption also says which attention is `lacking`."""
    kinds = settings.all_kinds
    exhibits = [each.exhibits[kind] for kind in kinds for each in shown if kind in each.exhibits]
    is_outlined = any(exhibit.outlines for exhibit in exhibits)
    captions = ["Outlined: word links that are known to be right."] if is_outlined else []
    captions += [f"{sentence}." for sentence in lacking]
    figure = build_figure(exhibits, with_eos=settings.eos, caption=" ".join(captions))
    write_figure(settings.out, figure, warn=partial(print_message, PROGRAM))


def draw_page(shown: Sequence[Shown], settings: PlotSettings, split: Splitter) -> str:
    """The explorer as one HTML file, which first shows what a picture would show.

    Raises:
        UserError: there are more than MAX_PAGE_WEIGHTS weights.
    """
    num_weights = sum(weights.weights.size for each in shown for weights in each.translation.attention.values())
    if num_weights > MAX_PAGE_WEIGHTS:
        raise UserError(
            f"{num_weights:,} attention weights are too many for a page (at most {MAX_PAGE_WEIGHTS:,}): "
            f"choose fewer runs or kinds, or a shorter sentence, or draw a picture"
        )
    analyses = [
        describe_translation(each.system.name, settings.source, each.translation, gold=each.gold, split=split)
        for each in shown
    ]
    searching = [each.system for each in shown if settings.target is None and each.system.info.has_beam]
    beams = [beam_tree(system, settings.source) for system in searching]
    first = next(each.system.name for each in shown if each.exhibits)
    layer, head = (numbers if isinstance(numbers, int) else None for numbers in (settings.layers, settings.heads))
    state = {
        "system": first,
        "kind": settings.all_kinds[0],
        "layer": layer,
        "head": head,
        "words": settings.words,
        "eos": settings.eos,
    }
    return render_page(analyses, beams, state=state)


def find_links(
    translation: Translation, settings: PlotSettings, grammar: GrammarCorpus | None, split: Splitter
) -> GoldLinks | None:
    """The word links of the source and a translation that are given, or that the grammar knows."""
    target = settings.target or translation.text
    if settings.gold is None:
        return find_gold_links(grammar, settings.source, target)
    pair = (sanitize(settings.source), sanitize(target))
    links = parse_links(settings.gold, location="gold=")
    check_links(links, pair, split=split, location="gold=")
    return links


def make_exhibit(
    name: str,
    translation: Translation,
    kind: Kind,
    gold: GoldLinks | None,
    settings: PlotSettings,
    split: Splitter,
) -> Exhibit:
    """The layers and heads of one kind of attention that are shown, between words or pieces.

    Raises:
        UserError: the system has no such layer or head.
    """
    every = translation.attention[kind]
    try:
        shown = select_heads(every, settings.layers, settings.heads)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    links = gold.possible if gold is not None and kind == "cross" else frozenset()
    outlines = outline_links(every, links, split=split, words=settings.words)
    is_only = every.weights.shape[:2] == (1, 1)
    return Exhibit(name, shown.words(split) if settings.words else shown, is_only=is_only, outlines=outlines)


def select_heads(every: Attention, layers: Numbers, heads: Numbers) -> Attention:
    """The layers and heads that `layers=` and `heads=` name."""
    if layers is None and heads is None:
        return every.mean()
    assert every.layers is not None and every.heads is not None

    def choose(numbers: Numbers, available: tuple[int, ...]) -> Sequence[int]:
        if isinstance(numbers, int):
            return [numbers]
        return list(dict.fromkeys(numbers)) if isinstance(numbers, list) else available

    return every.select(choose(layers, every.layers), None if heads is None else choose(heads, every.heads))


def to_json(shown: Sequence[Shown], settings: PlotSettings) -> dict[str, Any]:
    """What a figure would show, as data."""

    def describe(each: Shown) -> dict[str, Any]:
        attentions = {kind: exhibit.attention for kind, exhibit in each.exhibits.items()}
        return {
            "run": each.system.name,
            "text": each.translation.text,
            "score": each.translation.score,
            "log_probability": each.translation.log_probability,
            "source_tokens": each.translation.source_tokens,
            "target_tokens": each.translation.target_tokens,
            "gold": None if each.gold is None else format_links(each.gold.sure, each.gold.possible),
            "attention": {
                kind: (attention if settings.eos else attention.without_eos()).to_json()
                for kind, attention in attentions.items()
            },
        }

    return {"source": settings.source, "systems": list(map(describe, shown))}
