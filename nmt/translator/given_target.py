"""Reads what a caller gives of a target: a whole translation to be scored, or the prefix of one to be continued."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nmt.data.batch import pad
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.forced import force_decode
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search
from nmt.translator.arguments import Prefix, sanitize
from nmt.translator.batch import Sentence, SourceIds, list_banned_ids, translate_batch
from nmt.translator.n_best import find_distinct, text_key


def list_prefixes(prefix: Prefix | Sequence[Prefix] | None, num_lines: int, *, is_single: bool) -> list[Prefix]:
    """The prefix of each line.

    Args:
        prefix: of a single line; or a list with one for each of several lines; None for none.
        num_lines: number of lines.
        is_single: the caller passed one string, not a list with one line.

    Raises:
        UserError: there is not one prefix for each line.
    """
    if prefix is None:
        return [""] * num_lines
    if is_single:
        return [prefix]  # type: ignore[list-item]  # a list for a single line holds its pieces
    if isinstance(prefix, str) or len(prefix) != num_lines:
        raise UserError(f"prefix needs one prefix for each of the {num_lines} lines, in a list; it can be empty")
    return list(prefix)


def encode_prefix(tokenizer: Tokenizer, prefix: Prefix, *, max_pieces: int) -> list[int]:
    """The target ids of a prefix, in the best segmentation of a text.

    Raises:
        UserError: the prefix has more than `max_pieces` pieces, or one that no translation contains or that ends it.
    """
    if not prefix:
        return []
    if isinstance(prefix, str):
        [ids] = tokenizer.encode_target([sanitize(prefix)])
    else:
        ids = tokenizer.target_ids(prefix)
    if tokenizer.unk_id in ids and isinstance(prefix, str):
        raise UserError(f"the prefix has a character that the vocabulary lacks: {prefix!r:.80}")
    check_special(tokenizer, ids, name="prefix")
    if len(ids) > max_pieces:
        raise UserError(f"the prefix has {len(ids)} pieces, but the model takes at most {max_pieces}")
    return ids


def check_special(tokenizer: Tokenizer, ids: Sequence[int], *, name: str) -> None:
    """Raises UserError if what a caller gives of a target has a piece that no translation contains before its end."""
    for id in (tokenizer.eos_id, *list_banned_ids(tokenizer)):
        if id in ids:
            raise UserError(f"the {name} cannot contain {tokenizer.target_pieces([id])[0]}: leave it out")


def force_target(
    model: TranslationModel, tokenizer: Tokenizer, source_ids: SourceIds, target: str | Sequence[str], search: Search
) -> Hypothesis:
    """Scores a given translation as if the search had found it; see `Translator.force_decode`.

    Raises:
        UserError: a text has no words; or there are more pieces than the model takes, or one that does not exist or
            that no translation contains.
    """
    target_ids = [*encode_target(model, tokenizer, source_ids, target, search), tokenizer.eos_id]
    source, mask = pad([source_ids], tokenizer.pad_id, last=tokenizer.eos_id)  # (1, S)
    return force_decode(
        model,
        source.to(model.device),
        mask.to(model.device),
        target_ids,
        bos_id=tokenizer.bos_id,
        length_penalty=search.penalty(),
    )


def encode_target(
    model: TranslationModel, tokenizer: Tokenizer, source_ids: SourceIds, target: str | Sequence[str], search: Search
) -> list[int]:
    """The target ids, without `eos`, of a translation that is to be scored; see `Translator.force_decode`.

    Raises:
        UserError: a text has no words; or there are more pieces than the model takes, or one that does not exist or
            that no translation contains.
    """
    if isinstance(target, str):
        target_ids = _find_segmentation(model, tokenizer, source_ids, sanitize(target), search)
    else:
        target_ids = tokenizer.target_ids(target)
        if target_ids[-1:] == [tokenizer.eos_id]:
            target_ids.pop()
        # A piece that the vocabulary lacks is scored as `unk`, as in a text.
        check_special(tokenizer, [id for id in target_ids if id != tokenizer.unk_id], name="target")
    if model.max_length is not None and len(target_ids) >= model.max_length:
        raise UserError(f"the target has {len(target_ids)} pieces, but the model takes at most {model.max_length - 1}")
    return target_ids


def _find_segmentation(
    model: TranslationModel, tokenizer: Tokenizer, source_ids: SourceIds, target: str, search: Search
) -> list[int]:
    """The segmentation in which the search finds the target; if it does not, the tokenizer's best one."""
    [target_ids] = tokenizer.encode_target([target])
    if not target_ids:
        raise UserError("the target has no words")
    key = text_key(tokenizer.decode_target(target_ids))
    find = partial(translate_batch, model, tokenizer)
    [found] = find_distinct(find, [Sentence(source_ids)], search, search.beam_size)
    pieces = next((each.target_tokens[:-1] for each in found if text_key(each.text) == key), None)
    return target_ids if pieces is None else tokenizer.target_ids(pieces)
