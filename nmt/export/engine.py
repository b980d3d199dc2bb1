"""Translates with CTranslate2 in place of the model of a run: a search that gets everything from an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.export.conversion import RECORD_FILE, ExportRecord
from nmt.export.ctranslate2 import CTranslate2Format
from nmt.export.packages import check_packages
from nmt.export.verification import closest_exponent
from nmt.files import read_record
from nmt.models.seq2seq import TranslationModel
from nmt.run import RunFolder
from nmt.run.model_hash import hash_model
from nmt.search import BeamSearch, GreedySearch
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import DecodeTokens, Search, SearchArguments, StepObserver
from nmt.search.scoring import LengthPenalty

COMPUTE_TYPES = {"fp32": "float32", "int8": "int8"}
"""What CTranslate2 calls each number format."""


@dataclass
class CTranslate2Search:
    """Finds translations with CTranslate2 on a CPU; see `Search`.

    The arguments of the run's search are passed on. Its length penalty becomes the closest one that CTranslate2 has,
    and a batch has one length limit, that of its longest sentence.

    Args:
        folder: of the exported model.
        search: the search whose arguments count.
        tokenizer: of the run.
        mean_length: of translations, in tokens, for `closest_exponent`.
        precision: number format of matrix products, see COMPUTE_TYPES.
    """

    folder: Path
    search: BeamSearch
    tokenizer: Tokenizer
    mean_length: float
    precision: str

    @cached_property
    def translator(self) -> Any:
        """CTranslate2 with the model, with as many threads as torch uses at the first translation."""
        import ctranslate2

        threads = torch.get_num_threads()
        compute_type = COMPUTE_TYPES[self.precision]
        return ctranslate2.Translator(
            str(self.folder), device="cpu", compute_type=compute_type, intra_threads=threads, inter_threads=1
        )

    @property
    def has_beam(self) -> bool:
        """A larger beam finds more hypotheses."""
        return True

    @property
    def beam_size(self) -> int:
        """Number of hypotheses per sentence."""
        return self.search.beam_size

    def penalty(self) -> LengthPenalty:
        """The length penalty of the scores that are returned."""
        return self.search.penalty()

    def changed(self, **changes: Unpack[SearchArguments]) -> CTranslate2Search:
        """The same search with some arguments changed; the model is not loaded again."""
        other = replace(self, search=self.search.changed(**changes))
        other.__dict__["translator"] = self.translator
        return other

    def __call__(
        self,
        model: TranslationModel,
        source: Tensor,
        source_mask: Tensor,
        *,
        bos_id: int,
        eos_id: int,
        banned_ids: Sequence[int],
        n_best: int,
        prefixes: Sequence[Sequence[int]] | None = None,
        observer: StepObserver | None = None,
        decode: DecodeTokens | None = None,
    ) -> list[list[Hypothesis]]:
        """Translates a batch; see `Search`. Only the limit of `model` counts, and the export has banned `banned_ids`.

        Raises:
            UserError: `n_best` is not between 1 and the size of the beam, or there are prefixes.
        """
        if not 1 <= n_best <= self.beam_size:
            raise UserError(f"n_best={n_best} must be from 1 to search.beam_size={self.beam_size}")
        if prefixes is not None or observer is not None:
            raise UserError("engine=ctranslate2 follows no prefix and shows no steps: use engine=torch")
        sources = [ids[mask].tolist() for ids, mask in zip(source, source_mask, strict=True)]
        limit = self.search.length_limit()
        exponent = closest_exponent(self.search.length_penalty, self.mean_length) if self.beam_size > 1 else 0.0
        results = self.translator.translate_batch(
            [self.tokenizer.source_pieces(ids[:-1]) for ids in sources],
            beam_size=self.beam_size,
            num_hypotheses=n_best,
            length_penalty=exponent,
            max_input_length=0,
            max_decoding_length=max(limit(len(ids), model.max_length) for ids in sources) - 1,
            min_decoding_length=self.search.min_length,
            no_repeat_ngram_size=self.search.no_repeat_ngram or 0,
            return_scores=True,
            return_end_token=True,
        )
        return [
            [
                self._to_hypothesis(pieces, score, exponent, eos_id)
                for pieces, score in zip(result.hypotheses, result.scores, strict=True)
            ]
            for result in results
        ]

    def _to_hypothesis(self, pieces: Sequence[str], score: float, exponent: float, eos_id: int) -> Hypothesis:
        """A hypothesis of CTranslate2, whose score is the log-probability / length^`exponent`."""
        ids = self.tokenizer.target_ids(pieces)
        is_cut = ids[-1:] != [eos_id]
        log_probability = score * max(1, len(ids)) ** exponent
        tokens = (*ids, eos_id) if is_cut else tuple(ids)
        return Hypothesis(
            tokens=tokens,
            log_probability=log_probability,
            score=log_probability / self.penalty()(float(len(tokens))),
            truncated=is_cut,
        )


def open_search(
    folder: Path, *, run: RunFolder, search: Search, tokenizer: Tokenizer, precision: str
) -> CTranslate2Search:
    """The search with a model that was exported from a run.

    Args:
        folder: of the model.
        run: the run.
        search: the search whose arguments count.
        tokenizer: of the run.
        precision: number format of matrix products: fp32 or int8.

    Raises:
        UserError: the package is missing, the folder holds no such model, or the search is no beam or greedy search.
    """
    check_packages(CTranslate2Format.packages, need="engine=ctranslate2")
    if not (folder / RECORD_FILE).is_file():
        raise UserError(f"exported={folder} holds no exported model: write one by nmt export format=ctranslate2")
    record = read_record(folder / RECORD_FILE, ExportRecord)
    if record.format != CTranslate2Format.name:
        raise UserError(
            f"exported={folder} has format={record.format}, but engine=ctranslate2 needs format=ctranslate2"
        )
    if record.model_hash != hash_model(run):
        raise UserError(f"exported={folder} was not exported from run={run.path} as it is now: export it again")
    if isinstance(search, GreedySearch):
        search = search.as_beam_search()
    if not isinstance(search, BeamSearch):
        raise UserError(f"engine=ctranslate2 knows no {type(search).__name__}: use search=beam or search=greedy")
    return CTranslate2Search(folder, search, tokenizer, record.mean_length, precision)
