"""Translates lines of text with a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Self, overload

from typing_extensions import Unpack

from nmt import search as searches
from nmt.checks import check_sizes
from nmt.copying import find_fragments
from nmt.data.tokenizer import Tokenizer
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.models.attention import Kind
from nmt.models.seq2seq import TranslationModel
from nmt.run import RunFolder, open_run
from nmt.run.registry import build
from nmt.search.protocol import Search, SearchArguments
from nmt.threads import keep_threads
from nmt.translator.arguments import (
    DEFAULT_BATCH_TOKENS,
    DEFAULT_MAX_PIECES,
    Kinds,
    LineWarning,
    Prefix,
    TranslateOptions,
    change_search,
    check_kinds,
    check_lines,
    number_format,
    sanitize,
    shift,
)
from nmt.translator.attending import attend_all, with_attention
from nmt.translator.batch import Sentence, SourceIds, batches_by_length, cut_off, label_source, to_translation
from nmt.translator.completion import complete_translations
from nmt.translator.given_target import encode_prefix, force_target, list_prefixes
from nmt.translator.n_best import merge_segmentations
from nmt.translator.terms import NO_TERMS, find_with_terms
from nmt.translator.translation import EMPTY_TRANSLATION, Translation


class Translator:
    """Translates lines of text with a model, its tokenizer and a search.

    Args:
        model: on the device where it runs.
        tokenizer: the tokenizer that the model was trained with.
        search: finds the translations.
        batch_tokens: maximum size of a batch, in sentences × pieces of its longest source sentence; None takes
            `DEFAULT_BATCH_TOKENS` for the model's device.

    Attributes:
        before_batch: called before every batch; it does nothing unless a command replaces it.
        terms: the terms that translations must contain; none unless a caller sets them.

    Raises:
        UserError: `batch_tokens` is not positive.
    """

    def __init__(
        self, model: TranslationModel, tokenizer: Tokenizer, search: Search, *, batch_tokens: int | None
    ) -> None:
        if batch_tokens is None:
            batch_tokens = DEFAULT_BATCH_TOKENS[model.device.type]
        check_sizes(batch_tokens=batch_tokens)
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
        self.batch_tokens = batch_tokens
        self.before_batch: Callable[[], None] = keep_threads
        self.terms = NO_TERMS

    @property
    def max_length(self) -> int:
        """Maximum number of pieces of a line, the end-of-sentence piece included; the rest of a line is cut off."""
        return DEFAULT_MAX_PIECES if self.model.max_length is None else self.model.max_length

    @classmethod
    def load(
        cls,
        run: RunFolder | str | Path | Sequence[str | Path],
        *,
        search: Search | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        heads_off: Sequence[str] = (),
        precision: str = "fp32",
    ) -> Self:
        """Loads the best model of a run folder without the heads in `heads_off`, and the run's search if none is given.

        Several folders become an ensemble, with the search of the first one. `precision` is fp32, or bf16, which is
        faster for many lines at a time.

        Raises:
            UserError: a folder is damaged or does not fit the others; or there is no such device, head or format.
        """
        folder = run if isinstance(run, RunFolder) else open_run(run)
        search = search or build(folder.description("search"), searches)
        model = folder.model(heads_off=heads_off).to(pick_device(device), number_format(precision))
        model.prepare_for_decoding()
        return cls(model, folder.tokenizer(), search, batch_tokens=batch_tokens)

    # The overloads overlap, since a string is an iterable of strings, its letters. The first that fits counts.
    @overload
    def translate(  # type: ignore[overload-overlap]
        self, lines: str, *, n_best: None = ..., **options: Unpack[TranslateOptions]
    ) -> Translation: ...
    @overload
    def translate(  # type: ignore[overload-overlap]
        self, lines: str, *, n_best: int, **options: Unpack[TranslateOptions]
    ) -> list[Translation]: ...
    @overload
    def translate(
        self, lines: Iterable[str], *, n_best: None = ..., **options: Unpack[TranslateOptions]
    ) -> list[Translation]: ...
    @overload
    def translate(
        self, lines: Iterable[str], *, n_best: int, **options: Unpack[TranslateOptions]
    ) -> list[list[Translation]]: ...
    def translate(
        self,
        lines: str | Iterable[str],
        *,
        n_best: int | None = None,
        attention: Kinds | None = None,
        copy: bool = False,
        prefix: Prefix | Sequence[Prefix] | None = None,
        warn: LineWarning | None = None,
        **search: Unpack[SearchArguments],
    ) -> Translation | list[Translation] | list[list[Translation]]:
        """Translates one line, or each of several.

        A line without words gets one empty translation. A line that is too long for the model is cut off.

        Args:
            lines: a string, or an iterable of strings; each is translated by itself.
            n_best: return a list of this many translations of each line, best first, with distinct texts. It is shorter
                if the search finds fewer. None: return only the best one, not in a list.
            attention: which of "cross", "encoder" and "decoder" to return, or "all". None: "cross" for a single string,
                which somebody may want to look at, and none for several lines, since it takes time.
            copy: copy numbers, URLs, words that the model does not know, and the like, from the source if a translation
                lacks them; see `nmt.copying`.
            prefix: what the translation of a single line must begin with, as text or as a list of pieces; for several
                lines a list with one prefix per line, which may be empty. Scores and log-probabilities stay those of
                the model, for the whole translation. A text counts as whole words: it is cut into pieces like any
                other text. What follows is the model's choice. As a rule a new word follows, whose first piece begins
                with "▁", or a punctuation mark; but nothing forbids the model to continue the last word.
            warn: called for each line that is cut off.
            search: arguments of the search that replace its own for this call: `beam_size`, `length_penalty`,
                `max_length_factor`, `max_length_margin`, `min_length` and `no_repeat_ngram`, see `BeamSearch`.

        Returns:
            For a string its translation or list of translations; for several lines a list of them, in their order.

        Raises:
            TypeError: `lines` is neither a string nor an iterable of strings, or the search has no such argument.
            UserError: an argument is out of range, the search cannot return `n_best` translations, or the model's
                scores are not finite; or a prefix is longer than the model takes, or has a piece that does not exist or
                that no translation contains before its end.
        """
        is_single = isinstance(lines, str)
        checked = [lines] if isinstance(lines, str) else check_lines(lines)
        n_best_lists = self._translate_lines(
            checked,
            list_prefixes(prefix, len(checked), is_single=is_single),
            change_search(self.search, search),
            n_best=1 if n_best is None else n_best,
            kinds=check_kinds(attention if attention is not None else ["cross"] if is_single else []),
            copy=copy,
            warn=warn,
        )
        results = n_best_lists if n_best is not None else [best[0] for best in n_best_lists]
        return results[0] if is_single else results

    def _translate_lines(
        self,
        lines: Sequence[str],
        prefixes: Sequence[Prefix],
        search: Search,
        *,
        n_best: int,
        kinds: tuple[Kind, ...],
        copy: bool,
        warn: LineWarning | None,
    ) -> list[list[Translation]]:
        """The `n_best` translations of each line, best first, in the order of the lines; see `translate`."""
        check_sizes(n_best=n_best)
        lines = [sanitize(line) for line in lines]
        sources, truncated = self.encode_sources(lines, warn)
        prefix_ids = [encode_prefix(self.tokenizer, each, max_pieces=self.max_length - 1) for each in prefixes]
        fragments = list(map(find_fragments, lines, map(self.tokenizer.unknown_spans, lines, sources)))
        lengths = [len(ids) + 1 if ids else 0 for ids in sources]  # with `eos`
        results: list[list[Translation]] = [[EMPTY_TRANSLATION]] * len(lines)
        for indices in batches_by_length(lengths, lambda longest: self.batch_tokens // longest):
            batch = [Sentence(sources[index], prefix_ids[index], self.terms.wanted(lines[index])) for index in indices]
            self.before_batch()
            lists = find_with_terms(self.model, self.tokenizer, batch, search, n_best)
            found = dict(zip(indices, lists, strict=True))
            for index in indices:
                pieces = label_source(self.tokenizer, sources[index], lines[index])
                found[index] = [replace(each, source_tokens=pieces) for each in found[index][:n_best]]
            if kinds or (copy and any(fragments[index] for index in indices)):
                found = attend_all(self.model, self.tokenizer, sources, found, kinds or ("cross",))
            for index, translations in found.items():
                line, wanted = lines[index], fragments[index]
                completed = complete_translations(translations, line, wanted, self.tokenizer, copy=copy)
                if copy and search.has_beam:  # samples may be equal
                    completed = merge_segmentations(completed)
                results[index] = completed if kinds else [replace(each, attention={}) for each in completed]
        for index in truncated:
            results[index] = [replace(translation, source_truncated=True) for translation in results[index]]
        return results

    def encode_sources(self, lines: Sequence[str], warn: LineWarning | None) -> tuple[list[SourceIds], list[int]]:
        """The source ids of each line, without `eos`, and the indices of the lines that had to be cut off.

        `warn` is called for each of these.
        """
        sources = self.tokenizer.encode_source(lines)
        truncated = cut_off(sources, self.max_length - 1, warn)  # one position is left for `eos`
        return sources, truncated

    def stream(
        self,
        lines: Iterable[str],
        *,
        n_best: int,
        batch_size: int,
        attention: Kinds | None = (),
        warn: LineWarning,
        copy: bool = False,
        prefixes: Iterable[Prefix] | None = None,
    ) -> Iterator[list[Translation]]:
        """Translates lines as they arrive, `batch_size` lines at a time, and keeps only these in memory.

        Yields the `n_best` translations of each line, see `translate`. `warn` gets indices from the start of the
        stream. `prefixes` holds what each translation must begin with.
        """
        iterator, offset = iter(lines), 0
        beginnings = repeat("") if prefixes is None else iter(prefixes)
        while batch := list(islice(iterator, batch_size)):
            yield from self.translate(
                batch,
                n_best=n_best,
                attention=attention,
                copy=copy,
                prefix=list(islice(beginnings, len(batch))),
                warn=shift(warn, offset),
            )
            offset += len(batch)

    def force_decode(
        self,
        source: str,
        target: str | Sequence[str],
        *,
        attention: Kinds = "cross",
        warn: LineWarning | None = None,
        **search: Unpack[SearchArguments],
    ) -> Translation:
        """Treats a given target as the model's own translation: returns its scores and its attention weights.

        They are those that `translate` returns for the same text. A source that is too long is cut off, too.

        Args:
            source: the line to translate.
            target: its translation. A string is scored in the segmentation in which the search finds it, or else in the
                tokenizer's best one. A list of pieces, such as `Translation.target_tokens`, is taken as it is.
            attention: the kinds of attention to return, see `translate`.
            warn: called if the source is cut off.
            search: see `translate`.

        Raises:
            UserError: the source or a string as the target has no words; or the target has more pieces than the model
                takes, or one that the tokenizer does not know or that no translation contains.
        """
        tokenizer, model = self.tokenizer, self.model
        searcher = change_search(self.search, search)
        source, target = sanitize(source), sanitize(target) if isinstance(target, str) else target
        [source_ids], truncated = self.encode_sources([source], warn)
        if not source_ids:
            raise UserError("the source has no words")
        hypothesis = force_target(model, tokenizer, source_ids, target, searcher)
        translation = replace(
            to_translation(tokenizer, source_ids, hypothesis),
            source_tokens=label_source(tokenizer, source_ids, source),
            target_tokens=tokenizer.target_pieces(hypothesis.tokens, text=target if isinstance(target, str) else None),
            source_truncated=bool(truncated),
        )
        kinds, targets = check_kinds(attention), [hypothesis.tokens]
        return with_attention(model, tokenizer, [source_ids], targets, [translation], kinds)[0]
