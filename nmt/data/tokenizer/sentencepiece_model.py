"""Trains, loads and applies one SentencePiece model."""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise, zip_longest
from typing import Any, get_args

import sentencepiece
from sentencepiece import SentencePieceProcessor

from nmt.checks import check_sizes
from nmt.data.tokenizer.description import ModelType
from nmt.data.tokenizer.model_file import remove_file_names
from nmt.data.tokenizer.normalization import Normalization, is_blank, normalization_options, replace_reserved
from nmt.errors import UserError

UNK_SURFACE = "⁇"
"""The text to which `unk` decodes. SentencePiece's default, " ⁇ ", doubles the spaces around it."""

MAX_LINE_BYTES = 2**30
"""Maximum length of a training line. SentencePiece's default skips lines above 4192 bytes."""

NUM_TRAINING_THREADS = 16
"""Number of parts into which training divides the text. The model depends on it, so it is not the number of cores."""

MASK = "mask"
"""The name of the piece <mask>, which hides a part of a text in pre-training. Like a tag, it is a control piece, so it
occurs in no encoded text."""

ERRORS_ONLY = 2
"""SentencePiece's log level without information and warnings."""

DIGIT_BOUNDARY = "\ufdd3"
"""Separates digits in training lines, where no piece extends across it: a noncharacter, which no text should have."""

OTHER_DIGITS = re.compile("(?![0-9０-９])\\d")
"""A decimal digit that SentencePiece's own option, `split_digits`, takes for a letter."""

SPECIAL_PIECES = ("<pad>", "<s>", "</s>", "<unk>")
"""The names of pad, bos, eos and unk."""


def train_models(
    source_lines: Iterable[str],
    target_lines: Iterable[str],
    *,
    shared: bool,
    tags: Sequence[str],
    symbols: Sequence[str],
    **settings: Any,
) -> tuple[bytes, bytes | None]:
    """Trains the source model, which has the tags and symbols, and the target's own model; None if they share one.

    Args:
        settings: the other arguments of `train_model`.
    """
    if shared:
        lines = chain(source_lines, target_lines)
        return train_model(lines, text_name="this corpus", tags=tags, symbols=symbols, **settings), None
    sides = (("source", source_lines, tags, symbols), ("target", target_lines, (), ()))
    source, target = (
        train_model(lines, text_name=f"the {side} side of this corpus", tags=own_tags, symbols=own_symbols, **settings)
        for side, lines, own_tags, own_symbols in sides
    )
    return source, target


def train_model(
    lines: Iterable[str],
    *,
    text_name: str,
    vocab_size: int,
    model_type: str,
    character_coverage: float,
    byte_fallback: bool,
    normalization: Normalization,
    tags: Sequence[str],
    symbols: Sequence[str],
    user_defined_symbols: Sequence[str],
    split_digits: bool,
) -> bytes:
    """Trains a model on raw lines and returns it serialized; the arguments are those of `Tokenizer.train`.

    Args:
        text_name: what error messages call the text, such as "the source side of this corpus".

    Raises:
        UserError: an argument is out of range, there is no text, or it has more different characters than `vocab_size`
            allows.
    """
    for key, value, choices in (
        ("model_type", model_type, get_args(ModelType)),
        ("normalization", normalization, get_args(Normalization)),
    ):
        if value not in choices:
            raise UserError(f"tokenizer.{key}={value} is unknown; choose one of {', '.join(choices)}")
    check_sizes(**{"tokenizer.vocab_size": vocab_size})
    if not isinstance(character_coverage, int | float) or not 0.98 <= character_coverage <= 1:
        raise UserError(f"tokenizer.character_coverage={character_coverage} must lie between 0.98 and 1")
    _check_symbols(user_defined_symbols, tags)
    model = io.BytesIO()
    try:
        with normalization_options(normalization) as options:
            if split_digits:
                lines = map(_separate_digits, lines)
                options |= {"split_digits": True, "pretokenization_delimiter": DIGIT_BOUNDARY}
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_prepare_lines(lines, text_name),
                model_writer=model,
                vocab_size=vocab_size,
                hard_vocab_limit=False,  # fewer pieces if the text has no more; they equal those of that exact size
                model_type=model_type,
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                control_symbols=list(map(tag_piece, tags)),
                user_defined_symbols=[*symbols, *user_defined_symbols],
                unk_surface=UNK_SURFACE,
                max_sentence_length=MAX_LINE_BYTES,
                num_threads=NUM_TRAINING_THREADS,
                minloglevel=ERRORS_ONLY,
                **options,
            )
    except RuntimeError as error:
        raise UserError(_explain_training_error(str(error), text_name, vocab_size)) from None
    return remove_file_names(model.getvalue())


def _check_symbols(symbols: Sequence[str], tags: Sequence[str]) -> None:
    """Raises UserError unless every symbol can be a piece of its own; `tags` have pieces already."""
    taken = {*SPECIAL_PIECES, *map(tag_piece, tags)}
    for index, symbol in enumerate(symbols):
        key = f"tokenizer.user_defined_symbols: {symbol!r:.80}"
        if symbol.split() != [symbol]:
            raise UserError(f"{key} must have at least one character and no white space")
        if symbol in taken or symbol in symbols[:index]:
            raise UserError(f"{key} is a piece already: leave it out")


def load_processor(model: bytes) -> SentencePieceProcessor:
    """Loads a serialized model as a `SentencePieceProcessor`.

    Raises:
        UserError: the bytes are not a SentencePiece model.
    """
    sentencepiece.set_min_log_level(ERRORS_ONLY)  # its errors are exceptions, and need not be logged too
    try:
        if not model:
            raise RuntimeError("it is empty")
        processor = SentencePieceProcessor(model_proto=model)
        processor.id_to_piece(list(range(processor.get_piece_size())))  # fails if a piece is not UTF-8
        return processor
    except (RuntimeError, UnicodeDecodeError):
        raise UserError("not a SentencePiece model") from None


def special_ids(processor: SentencePieceProcessor) -> tuple[int, int, int, int]:
    """The ids of pad, bos, eos and unk; -1 for a piece that the model lacks."""
    return processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id()


def common_special_ids(source: SentencePieceProcessor, target: SentencePieceProcessor) -> tuple[int, int, int, int]:
    """The ids of pad, bos, eos and unk, which both models have.

    Raises:
        UserError: a model lacks one of them, or the models disagree about one.
    """
    ids = special_ids(source)
    if ids != special_ids(target) or min(ids) < 0 or len(set(ids)) < len(ids):
        raise UserError(
            f"the SentencePiece models need pad, bos, eos and unk, with the same ids on both sides; source has {ids}, "
            f"target {special_ids(target)} (-1: none): train them with the same --pad_id, --bos_id, --eos_id, --unk_id"
        )
    return ids


def encode_texts(processor: SentencePieceProcessor, texts: Sequence[str]) -> list[list[int]]:
    """The piece ids of each text, without bos and eos; none for a text that prints nothing. NUL becomes a space."""
    texts = ["" if is_blank(text) else text.replace("\0", " ") for text in texts]
    # A single thread is much faster than whatever reads the texts, and needs no synchronisation.
    try:
        return list(processor.encode(texts, num_threads=1))
    except (TypeError, UnicodeEncodeError):  # a lone surrogate, which UTF-8 cannot represent
        return list(processor.encode(list(map(_replace_surrogates, texts)), num_threads=1))


def tag_piece(tag: str) -> str:
    """The piece of a tag: <2de> for 2de."""
    return f"<{tag}>"


def list_tags(processor: SentencePieceProcessor) -> dict[str, int]:
    """The tags of a model, and `MASK`, with the ids of their pieces: all control pieces that are not special."""
    controls = [id for id in range(processor.get_piece_size()) if processor.is_control(id)]
    return {processor.id_to_piece(id)[1:-1]: id for id in controls if id not in special_ids(processor)}


def piece_ids(processor: SentencePieceProcessor, pieces: Sequence[str]) -> list[int]:
    """The ids of pieces. Raises UserError for a piece that does not exist."""
    ids = [processor.piece_to_id(piece) for piece in pieces]
    for piece, id in zip(pieces, ids, strict=True):
        if processor.id_to_piece(id) != piece:
            raise UserError(f"the vocabulary has no piece {piece!r:.80}")
    return ids


def name_pieces(processor: SentencePieceProcessor, ids: Sequence[int], text: str | None) -> list[str]:
    """The pieces as strings, as `Tokenizer.source_pieces` describes them."""
    unk_id = processor.unk_id()
    pieces: list[str] = processor.id_to_piece([int(id) for id in ids])
    if text is None or unk_id not in ids:
        return pieces
    surfaces: list[str] = processor.encode(text, out_type=str)
    is_same = processor.encode(text)[: len(ids)] == list(ids)[: len(surfaces)]
    if not is_same:  # the ids are another segmentation of the text
        return pieces
    return [surface if id == unk_id else piece for id, piece, surface in zip_longest(ids, pieces, surfaces[: len(ids)])]


def piece_spans(processor: SentencePieceProcessor, text: str) -> list[tuple[int, int]]:
    """The range of characters of `text`, start and end, of each piece of `encode_texts`."""
    if is_blank(text):
        return []
    pieces = processor.encode(text.replace("\0", " "), return_type="proto").pieces  # they count bytes
    character_ends = list(accumulate(len(character.encode("utf-8")) for character in text))  # in bytes
    ends = [bisect_right(character_ends, piece.end) for piece in pieces]
    return list(pairwise([0, *ends]))


def _replace_surrogates(text: str) -> str:
    """Replaces lone halves of surrogate pairs by "\ufffd"."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _prepare_lines(lines: Iterable[str], text_name: str) -> Iterator[str]:
    """Replaces NUL, on which SentencePiece cannot train, and characters that would make it skip the line.

    Raises:
        UserError: no line contains any text.
    """
    remaining = iter(lines)
    first_lines = []
    for line in remaining:
        first_lines.append(line)
        # Some versions of SentencePiece end the process if all text is spaces and control characters.
        if not is_blank(line):
            return (replace_reserved(line.replace("\0", " ")) for line in chain(first_lines, remaining))
    raise UserError(
        f"{text_name} contains no text to train a tokenizer on: {len(first_lines)} lines, all of them empty"
    )


def _separate_digits(line: str) -> str:
    """Separates the digits of all scripts but those that SentencePiece separates itself."""
    return OTHER_DIGITS.sub(rf"{DIGIT_BOUNDARY}\g<0>{DIGIT_BOUNDARY}", line)


def _explain_training_error(message: str, text_name: str, vocab_size: int) -> str:
    if match := re.search(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"tokenizer.vocab_size={vocab_size} is too small for the characters of {text_name}: it must be at least "
            f"{match[1]}, or less with a lower tokenizer.character_coverage"
        )
    if "all_chars_count" in message:  # only characters that its normalization removes
        return f"{text_name} contains no text to train a tokenizer on"
    return f"SentencePiece cannot train on {text_name}: {' '.join(message.split())}"
