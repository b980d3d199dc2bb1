"""The run with which training starts, `init=RUN`: its tokenizer, and its best weights or those of its encoder.

Optimizer, schedule, best score and history are new. The settings of model and tokenizer have been taken over already
(`nmt.cli.shell.initial_run`). A resumed run has all of this in its own folder.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

from datasets import Dataset

from nmt import models
from nmt.cli.training.corpus import list_tags
from nmt.cli.training.descriptions import describe
from nmt.cli.training.settings import TrainSettings
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.noise import MaskedPieces
from nmt.data.statistics import SideStatistics
from nmt.data.text import TextCorpus
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.hub import HubAddress
from nmt.run.model_hash import hash_model
from nmt.run.registry import Description
from nmt.run.weights import load_weights
from nmt.training.masked import HEAD, encoder_parameters

MAX_LANGUAGES = 100
"""Maximum number of languages of a pre-trained run whose pairs are listed. Its corpus.json may come from anyone."""

WARNING_SHARE = 0.01
"""Above this share of unknown pieces, the remark on them is a warning."""


def load_initial_tokenizer(settings: TrainSettings, corpus: Corpus) -> Tokenizer:
    """The tokenizer of the run, with the tag of the corpus.

    If the corpus has no tags but the run has some, it is the one with which the run was trained in the same direction.

    Raises:
        UserError: the tokenizer is damaged or lacks a tag of the corpus, or the run was not trained in this direction.
    """
    run, tags = _open(settings), list_tags(settings, corpus)
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
    if tags or not tokenizer.tags:
        return tokenizer.with_source_tag(settings.tag)
    directions = _list_directions(run.description("corpus"), tokenizer.source_tag)
    direction = (corpus.source, corpus.target)
    if direction not in directions:
        raise UserError(
            f"init={run.path} was not trained from {corpus.source} to {corpus.target}: choose one of its tags "
            f"{', '.join(tokenizer.tags)} by tag=…"
        )
    return tokenizer.with_source_tag(directions[direction])


def load_initial_weights(settings: TrainSettings, model: Seq2Seq) -> dict[str, Any]:
    """Copies the best weights of the run into the model: all that it has trained, or the part that `init_parts` names.

    Returns:
        Where they come from, for model.json.

    Raises:
        UserError: they are damaged, the model has no encoder of its own, or a changed setting makes them unfit.
    """
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
        return f"{text} of {settings.train_split} are unknown to the tokenizer of init"
    return (
        f"warning: {text} of {settings.train_split} are unknown to the tokenizer of init, so they cannot be learned: "
        f"leave init out to train a run with a tokenizer of its own"
    )


def _open(settings: TrainSettings) -> RunFolder:
    """The run with which training starts. Raises UserError if it is missing or has no weights."""
    assert settings.init is not None
    return RunFolder.open(settings.init, key="init")


def _list_directions(corpus: Description, source_tag: str | None) -> dict[tuple[Any, Any], str | None]:
    """The tag of each direction, source and target, of a described corpus; the first one counts.

    Args:
        source_tag: the tag of a corpus that declares none.
    """
    arguments = corpus.get("arguments", {})
    if isinstance(arguments.get("corpus"), dict):  # without the pairs that are held out
        return _list_directions(arguments["corpus"], source_tag)
    if corpus.get("class") == TextCorpus.__name__:  # restoring a text has taught the model to write its language
        languages = arguments["languages"] if isinstance(arguments.get("languages"), list) else []
        return {pair: f"2{pair[1]}" for pair in permutations(map(str, languages[:MAX_LANGUAGES]), 2)}
    parts = arguments["parts"] if isinstance(arguments.get("parts"), list) else [corpus]
    tags = arguments.get("tags", [])
    if not any(tags):
        tags = [source_tag] * len(parts)
    directions: dict[tuple[Any, Any], str | None] = {}
    for part, tag in zip(parts, tags, strict=False):
        own = part.get("arguments", {}) if isinstance(part, dict) else {}
        directions.setdefault((own.get("source"), own.get("target")), tag)
    return directions
