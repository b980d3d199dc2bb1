"""The run with which training starts, `init=RUN`: its tokenizer, and its best weights or those of its encoder.

Optimizer, schedule, best score and history are new. The settings of model and tokenizer have been taken over already
(`nmt.cli.shell.initial_run`). A resumed run has all of this in its own folder, except for the weights, if it ended
before its first checkpoint.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from nmt import models
from nmt.cli.training.descriptions import describe
from nmt.cli.training.settings import TrainSettings
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.noise import MaskedPieces
from nmt.data.statistics import SideStatistics
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.directions import find_tag, list_directions
from nmt.run.format import read_versioned
from nmt.run.hub import HubAddress
from nmt.run.model_hash import hash_model
from nmt.run.registry import StoredOrigin
from nmt.run.weights import load_weights
from nmt.training.masked import HEAD, encoder_parameters

WARNING_SHARE = 0.01
"""Above this share of unknown pieces, the remark on them is a warning."""


def load_initial_tokenizer(settings: TrainSettings, corpus: Corpus) -> Tokenizer:
    """The tokenizer of the run, with the tag of the corpus.

    If the corpus has no tags but the run has some, it is the one with which the run was trained in the same direction,
    or into the same language.

    Raises:
        UserError: the tokenizer is damaged or lacks a tag of the corpus, or the run was not trained into this language.
    """
    run, tags = _open(settings), corpus.own_tags
    tokenizer = run.tokenizer()
    if settings.objective is not None and tokenizer.mask_id is None:
        raise UserError(
            f"init={run.path} was not pre-trained, so its tokenizer lacks the piece <mask>, which objective=… needs: "
            f"leave init out"
        )
    for each in tags:
        if each not in tokenizer.tags:
            known = f"it has {', '.join(tokenizer.tags)}" if tokenizer.tags else "it has none"
            raise UserError(f"tag={each}: the tokenizer of init={run.path} has no such tag; {known}")
    _check_vocabularies(run, tokenizer, corpus)
    if tags or not tokenizer.tags:
        return tokenizer.with_source_tag(corpus.main_tag)
    return tokenizer.with_source_tag(find_tag(run, (corpus.source, corpus.target)))


def _check_vocabularies(run: RunFolder, tokenizer: Tokenizer, corpus: Corpus) -> None:
    """Raises UserError if a language of the corpus changes sides, and so would get the other language's vocabulary."""
    if tokenizer.shared:  # so is every tokenizer of a pre-trained run, which may have one language and no direction
        return
    source, target = next(iter(list_directions(run)))
    if corpus.source == target or corpus.target == source:
        raise UserError(
            f"init={run.path} has one vocabulary for {source} and another for {target}, so it cannot start a system "
            f"from {corpus.source} to {corpus.target}: start from a run with tokenizer.shared=true, or leave init out"
        )


def load_initial_weights(settings: TrainSettings, model: Seq2Seq) -> dict[str, Any]:
    """Copies the best weights of the run into the model: all that it has trained, or the part that `init_parts` names.

    Returns:
        Where they come from, for model.json.

    Raises:
        UserError: they are damaged, the model has no encoder of its own, or a changed setting makes them unfit; or a
            run is resumed that was started with other weights.
    """
    if settings.resume == "true":
        _check_unchanged(settings)
    run = _open(settings)
    # Pre-training with masked pieces has learned nothing but the encoder, and has a head that other runs have not.
    is_masked, was_masked = hasattr(model, HEAD), run.objective() == MaskedPieces.__name__
    parts = "encoder" if is_masked != was_masked else settings.init_parts
    only = encoder_parameters(model) if parts == "encoder" else None
    try:
        load_weights(model, run.best, only=only)
    except UserError as error:
        old = run.description("model")["arguments"]
        new = describe(settings.model, models)["arguments"]
        changes = [f"model.{name}={value}" for name, value in new.items() if value != old.get(name, value)]
        if "does not fit" not in str(error) or not changes:
            raise
        kept = ", ".join(f"{old[name]}" for name, value in new.items() if value != old.get(name, value))
        raise UserError(
            f"{', '.join(changes)}: the weights of init={run.path} do not fit; leave it out to keep {kept}"
        ) from None
    origin = HubAddress.parse(str(settings.init)) or run.path.absolute()
    return {"run": str(origin), "model_hash": hash_model(run), "step": run.best_step(), "parts": parts}


def remark_on_unknown_pieces(split: Dataset, tokenizer: Tokenizer, settings: TrainSettings) -> str:
    """Says how much of the training split the old vocabulary cannot represent."""
    encoded = encode_corpus(split, tokenizer, num_workers=settings.loader.num_workers)
    sides = {side: SideStatistics.of(encoded, side, unk_id=tokenizer.unk_id) for side in ("source", "target")}
    shares = {side: each.unknown / max(1, each.pieces) for side, each in sides.items()}
    text = " and ".join(f"{share:.2%} of the {side} pieces" for side, share in shares.items())
    if max(shares.values()) <= WARNING_SHARE:
        return f"{text} of {settings.train_split} are unknown to the tokenizer"
    key = "tokenizer=…" if settings.init is None else "init"
    return (
        f"warning: {text} of {settings.train_split} are unknown to the tokenizer, so they cannot be learned: "
        f"leave {key} out to train a run with a tokenizer of its own"
    )


def _check_unchanged(settings: TrainSettings) -> None:
    """Raises UserError unless the run of `init` still has the weights with which the resumed run was started."""
    started = read_versioned(settings.run / "model.json", StoredOrigin).init
    try:
        problem = None if hash_model(_open(settings)) == started.model_hash else "have changed"
    except UserError as error:
        problem = f"cannot be read ({error})"
    if problem is not None:
        raise UserError(
            f"run={settings.run} ended before its first checkpoint, so it starts again with the weights of "
            f"init={settings.init}, which {problem}: put them back, or name another folder with run=… to train a new "
            "one"
        )


def _open(settings: TrainSettings) -> RunFolder:
    """The run with which training starts. Raises UserError if it is missing or has no weights."""
    assert settings.init is not None
    return RunFolder.open(settings.init, key="init")
