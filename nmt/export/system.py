"""What is exported: a trained system with everything that other programs need to know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Self

from nmt import search as searches
from nmt.data.corpus import check_languages
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models import ALiBiPositions, PictureTransformer, Seq2Seq, Transformer
from nmt.run import RunFolder
from nmt.run.model_hash import hash_model
from nmt.run.registry import build, language_pair
from nmt.search import BeamSearch
from nmt.search.protocol import Search, SearchArguments
from nmt.translator import Translator


@dataclass(frozen=True)
class System:
    """A trained system.

    Attributes:
        run: its folder.
        translator: translates on a CPU.
        search: the run's beam search, without what other programs do not know: a minimum length and forbidden n-grams.
            A run with another search has a beam of size 1.
        source, target: codes of its languages.
        step, model_hash: identify the weights of the translator, which training may replace in the run folder.
    """

    run: RunFolder
    translator: Translator
    search: BeamSearch
    source: str
    target: str
    step: int
    model_hash: str

    @classmethod
    def load(cls, run: RunFolder) -> Self:
        """Loads the best model of a run. Raises UserError if the folder is damaged."""
        own: Search = build(run.description("search"), searches)
        changes = SearchArguments(min_length=0, no_repeat_ngram=None)
        if not isinstance(own, BeamSearch):
            changes |= {"beam_size": 1, "length_penalty": 0.0}
        search = own.changed(**changes)
        assert isinstance(search, BeamSearch), "a beam size makes any search a beam search"
        source, target = language_pair(run.description("corpus"))
        try:
            check_languages(source=source, target=target)  # their codes become names of files
        except UserError as error:
            raise UserError(f"{run.path / 'corpus.json'}: {error}") from None
        step, model_hash = run.best_step(), hash_model(run)
        translator = Translator.load(run, search=search, device="cpu")
        return cls(run, translator, search, source, target, step, model_hash)

    @property
    def model(self) -> Seq2Seq[Any, Any]:
        """The model, in evaluation mode."""
        assert isinstance(self.translator.model, Seq2Seq), "a run folder holds one model"
        return self.translator.model

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""
        return self.translator.tokenizer

    def transformer(self, format_name: str) -> Transformer:
        """The model, if it is a Transformer that other programs for Transformers know.

        Args:
            format_name: the format of the export, for the message.

        Raises:
            UserError: it is another model, or attends to the source in a way that neither CTranslate2 nor transformers
                knows.
        """
        model = self.model
        if not isinstance(model, Transformer) or isinstance(model, PictureTransformer):
            self.refuse(format_name, f"it takes an encoder-decoder Transformer, not a {type(model).__name__}")
        if model.encoder.pattern is not None:
            self.refuse(format_name, "it has no sparse attention in an encoder")
        if isinstance(model.encoder.positions, ALiBiPositions):
            self.refuse(format_name, "it has no ALiBi positions in an encoder")
        return model

    def refuse(self, format_name: str, reason: str) -> NoReturn:
        """Raises UserError: the format cannot express this system, for this reason."""
        raise UserError(f"format={format_name} cannot express run={self.run.path}: {reason}")
