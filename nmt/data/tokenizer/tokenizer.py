"""Text to subword pieces and back: SentencePiece, one model for both languages or one each.

The model is trained on raw text (no tokenization before it), and its output is raw text again, so that BLEU is measured
against the untouched reference. Two things happen to text on its way in:

- It is normalized by SentencePiece's standard rule, nmt_nfkc: Unicode NFKC ("ﬁ" becomes "fi", "…" becomes "..."),
  control characters are dropped, every run of white space becomes one space. `decode_target(encode_target(text))`
  gives the normalized text back.
- A character that training never saw becomes one `unk` piece, which decodes to "⁇". With `byte_fallback` it becomes its
  UTF-8 bytes instead and survives the round trip.

References: Kudo & Richardson (2018), SentencePiece; Kudo (2018), subword regularization; Provilkov et al. (2020),
BPE-dropout.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import sentencepiece

from nmt.data.counter_rng import Numbers
from nmt.data.tokenizer.subword_sampling import BpeSubwords, Ids, Subwords, UnigramSubwords
from nmt.errors import UserError
from nmt.files import atomic_write, read_bytes, read_json, write_json

FORMAT = 1
"""The version of tokenizer.json; a reader refuses a newer one."""

MODEL_TYPES = ("unigram", "bpe")
SIDES = ("source", "target")
LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class Tokenizer:
    """The pieces of both sides. Ids are those of the SentencePiece models; the special ids are the same on both sides.

    Args:
        source_model: a serialized SentencePiece model.
        target_model: the target's own model, or None where one model serves both languages.
        model_type: "unigram" or "bpe".

    Raises:
        ValueError: the bytes are no SentencePiece model, or the models lack a special piece or disagree on one.
    """

    def __init__(self, *, source_model: bytes, target_model: bytes | None, model_type: str) -> None:
        self.shared = target_model is None
        self.model_type = model_type
        self._source = _processor(source_model)
        self._target = self._source if target_model is None else _processor(target_model)
        special = _special_ids(self._source)
        if special != _special_ids(self._target) or min(special) < 0 or len(set(special)) < len(special):
            raise UserError(
                f"the SentencePiece models need pad, bos, eos and unk, with the same ids on both sides; "
                f"source has {special}, target {_special_ids(self._target)}"
            )
        self.pad_id, self.bos_id, self.eos_id, self.unk_id = special
        # The very bytes: serialized again by another version of the library they could be others.
        self._models = [source_model] if target_model is None else [source_model, target_model]
        self._subwords: dict[tuple[str, float], Subwords] = {}
        self.fingerprint = _sha256("".join(map(_sha256, self._models)).encode())
        """Names the content: equal for equal models, whoever trained or loaded them."""

    @classmethod
    def train(
        cls,
        source_lines: Iterable[str],
        target_lines: Iterable[str],
        *,
        vocab_size: int,
        model_type: str,
        shared: bool,
        character_coverage: float,
        byte_fallback: bool,
    ) -> Tokenizer:
        """Learns the pieces from raw lines. The same lines give the same model, byte for byte.

        Lines of any length count, empty ones excepted.

        Args:
            vocab_size: pieces in the joint vocabulary, or on each side where not `shared`; the special pieces included.
            model_type: "unigram" or "bpe".
            shared: one model for both languages.
            character_coverage: share of the text's characters that get a piece, 0.98 to 1; the rarest rest is `unk`.
            byte_fallback: unknown characters become their UTF-8 bytes; takes 256 pieces of the vocabulary.

        Raises:
            ValueError: an argument is out of range, there is no text, or the vocabulary does not fit the corpus.
        """
        if model_type not in MODEL_TYPES:
            raise UserError(f"tokenizer.model_type={model_type} is unknown; choose one of {', '.join(MODEL_TYPES)}")
        if vocab_size < 1:
            raise UserError(f"tokenizer.vocab_size={vocab_size} must be at least 1")
        if not 0.98 <= character_coverage <= 1:
            raise UserError(f"tokenizer.character_coverage={character_coverage} must lie between 0.98 and 1")
        options = {
            "vocab_size": vocab_size,
            "model_type": model_type,
            "character_coverage": character_coverage,
            "byte_fallback": byte_fallback,
        }
        if shared:
            model = _train("this corpus", chain(source_lines, target_lines), options)
            return cls(source_model=model, target_model=None, model_type=model_type)
        return cls(
            source_model=_train("the source side of this corpus", source_lines, options),
            target_model=_train("the target side of this corpus", target_lines, options),
            model_type=model_type,
        )

    @property
    def source_size(self) -> int:
        """Pieces in the source vocabulary, the special ones included."""
        return int(self._source.get_piece_size())

    @property
    def target_size(self) -> int:
        """Pieces in the target vocabulary, the special ones included."""
        return int(self._target.get_piece_size())

    def encode_source(self, texts: Sequence[str]) -> list[list[int]]:
        """The piece ids of each text, without bos and eos; empty text gives no ids."""
        return _encode(self._source, texts)

    def encode_target(self, texts: Sequence[str]) -> list[list[int]]:
        """The piece ids of each text, without bos and eos; empty text gives no ids."""
        return _encode(self._target, texts)

    def redraw_source(self, sentences: Sequence[Ids], *, alpha: float, seeds: Numbers) -> list[Ids]:
        """Other pieces of the same sentences, drawn at random: subword regularization.

        A segmentation is a function of its sentence, its seed and alpha alone: whatever else is drawn, in any process.
        One thread may draw at a time: what is worked out about words is kept.

        Args:
            sentences: the ids of each, as `encode_source` finds them.
            alpha: unigram: how sharply likely segmentations are preferred (0.1 to 0.5 are usual; large means the best
                one nearly always). BPE: the probability with which a merge is left out (0.1 is usual).
            seeds: (sentences,) names the random numbers of each, see `nmt.data.counter_rng`.

        Raises:
            ValueError: see `check_alpha`.
        """
        return self._redraw("source", sentences, alpha, seeds)

    def redraw_target(self, sentences: Sequence[Ids], *, alpha: float, seeds: Numbers) -> list[Ids]:
        """Like `redraw_source`, for the target side."""
        return self._redraw("target", sentences, alpha, seeds)

    def check_alpha(self, alpha: float) -> None:
        """Raises ValueError if this kind of model cannot draw with `alpha`."""
        most = 1 if self.model_type == "bpe" else 1000
        if not 0 <= alpha <= most:
            what = "a probability" if self.model_type == "bpe" else "a number"
            raise UserError(f"subword_alpha={alpha} must be {what} from 0 to {most} for model_type={self.model_type}")

    def _redraw(self, side: str, sentences: Sequence[Ids], alpha: float, seeds: Numbers) -> list[Ids]:
        self.check_alpha(alpha)
        key = ("source" if self.shared else side, alpha)
        if key not in self._subwords:
            kind = BpeSubwords if self.model_type == "bpe" else UnigramSubwords
            self._subwords[key] = kind(self._source if side == "source" else self._target, alpha=alpha)
        return self._subwords[key].draw(sentences, seeds)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_subwords": {}}  # what was remembered about words stays behind

    def decode_target(self, ids: Sequence[int]) -> str:
        """The text of the pieces. pad, bos and eos are left out; unk becomes "⁇".

        It is one line whatever the pieces are, to every reader: byte pieces can spell all that `str.splitlines` splits
        at (\\n, \\r, \\v, \\f, \\x1c to \\x1e, U+0085, U+2028, U+2029), and each of these becomes a space.
        """
        silent = {self.pad_id, self.bos_id, self.eos_id}
        text: str = self._target.decode([id for id in map(int, ids) if id not in silent])
        return LINE_END.sub(" ", text)

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as they are shown to people: "▁" opens a word, special pieces look like "</s>"."""
        return list(self._source.id_to_piece([int(id) for id in ids]))

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Like `source_pieces`, for the target side."""
        return list(self._target.id_to_piece([int(id) for id in ids]))

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and the models it names: tokenizer.model, or source.model and target.model."""
        names = ["tokenizer.model"] if self.shared else ["source.model", "target.model"]
        for name, model in zip(names, self._models, strict=True):
            with atomic_write(folder / name) as file:
                file.write(model)
        description = {
            "format": FORMAT,
            "shared": self.shared,
            "model_type": self.model_type,
            "files": {"source": names[0], "target": names[-1]},
            "sizes": {"source": self.source_size, "target": self.target_size},
            "sha256": {"source": _sha256(self._models[0]), "target": _sha256(self._models[-1])},
        }
        write_json(folder / "tokenizer.json", description)  # last: it vouches for the models

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Reads what `save` wrote, and believes none of it unchecked: a run folder may come from anybody.

        Raises:
            ValueError: a file is missing, damaged, of a newer format, or does not belong to the others.
        """
        path = folder / "tokenizer.json"
        description = _description(path)
        source_model = _model_bytes(folder, description, "source")
        target_model = None if description["shared"] else _model_bytes(folder, description, "target")
        try:
            tokenizer = cls(source_model=source_model, target_model=target_model, model_type=description["model_type"])
        except ValueError as error:
            raise UserError(f"{path} names models that cannot be used: {error}") from None
        if {"source": tokenizer.source_size, "target": tokenizer.target_size} != description["sizes"]:
            raise UserError(
                f"{path} disagrees with the models that it names: they have {tokenizer.source_size} source and "
                f"{tokenizer.target_size} target pieces"
            )
        return tokenizer


def _processor(model: bytes) -> Any:
    sentencepiece.set_min_log_level(2)  # errors come as exceptions; the library's own lines would say them twice
    try:
        if not model:
            raise RuntimeError("it is empty")
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = range(processor.get_piece_size())
        processor.id_to_piece(list(pieces))  # fails on pieces that are no text
        return processor
    except (RuntimeError, UnicodeDecodeError):
        raise UserError("not a SentencePiece model") from None


def _special_ids(processor: Any) -> tuple[int, int, int, int]:
    return processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _train(what: str, lines: Iterable[str], options: dict[str, Any]) -> bytes:
    """The serialized model of one vocabulary. `what` names the text in messages."""
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_trainable(lines, what),
            model_writer=written,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            unk_surface="⁇",  # the default, " ⁇ ", doubles the spaces around it
            max_sentence_length=2**30,  # bytes; the default skips lines above 4192
            num_threads=16,  # the work is divided by this number, not by the machine's: the model depends on it
            minloglevel=2,
            **options,
        )
    except RuntimeError as error:
        raise UserError(_training_error(str(error), what, options)) from None
    return written.getvalue()


def _trainable(lines: Iterable[str], what: str) -> Iterator[str]:
    """The lines without NUL, which SentencePiece cannot learn. Raises ValueError where no line holds any text."""
    remaining = iter(lines)
    passed = []
    for line in remaining:
        passed.append(line)
        # Some versions of SentencePiece end the whole process on text that is all spaces and control characters.
        if any(unicodedata.category(character)[0] not in "CZ" for character in line):
            return (line.replace("\0", "") for line in chain(passed, remaining))
    raise UserError(f"{what} holds no text to train a tokenizer on: {len(passed)} lines, all of them empty")


def _training_error(message: str, what: str, options: dict[str, Any]) -> str:
    size = options["vocab_size"]
    if found := re.search(r"Vocabulary size too high.*<= (\d+)", message):
        return f"tokenizer.vocab_size={size} is more than {what} allows: at most {found[1]}"
    if found := re.search(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)", message):
        return f"tokenizer.vocab_size={size} is too small for the characters of {what}: at least {found[1]}"
    return f"SentencePiece cannot train on {what}: {' '.join(message.split())}"


def _encode(processor: Any, texts: Sequence[str]) -> list[list[int]]:
    # One thread: the library is far faster than what feeds it.
    try:
        return list(processor.encode(list(texts), num_threads=1))
    except (TypeError, UnicodeEncodeError):  # lone surrogates, which no UTF-8 can spell
        return list(processor.encode(list(map(_whole, texts)), num_threads=1))


def _whole(text: str) -> str:
    """The text with "\ufffd" for halves of surrogate pairs."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _description(path: Path) -> dict[str, Any]:
    """What tokenizer.json says, with every field of the right kind. Raises ValueError."""
    description = read_json(path)
    if not isinstance(description, dict) or type(description.get("format")) is not int:
        raise UserError(f"{path} is damaged: it is not a tokenizer's description")
    if description["format"] > FORMAT:
        raise UserError(f"{path} has format {description['format']}, but this program reads up to {FORMAT}: update nmt")
    kinds = {"files": str, "sizes": int, "sha256": str}
    if (
        not isinstance(description.get("shared"), bool)
        or description.get("model_type") not in MODEL_TYPES
        or not all(isinstance(description.get(field), dict) for field in kinds)
        or not all(isinstance(description[field].get(side), kind) for field, kind in kinds.items() for side in SIDES)
    ):
        raise UserError(f"{path} is damaged: it lacks a field or has one of the wrong kind")
    for name in description["files"].values():
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"{path} names the file {name!r}, but only plain names in the same folder are read")
    return description


def _model_bytes(folder: Path, description: dict[str, Any], side: str) -> bytes:
    """The bytes of one side's model, if they are those that the description was written for. Raises ValueError."""
    path: Path = folder / description["files"][side]
    model = read_bytes(path)
    if _sha256(model) != description["sha256"][side]:
        raise UserError(f"{path} is damaged or from another run: it is not the file that tokenizer.json describes")
    return model
