"""The directions in which a run was trained: from which language to which, and the tag of source lines in each."""

from __future__ import annotations

from itertools import permutations

from nmt.errors import UserError
from nmt.run.folder import RunFolder
from nmt.run.registry import Description, language_pair, list_parts

MAX_LANGUAGES = 100
"""Maximum number of languages of a pre-trained run whose pairs are listed. Its corpus.json may come from anyone."""

Pair = tuple[str, str]
"""The codes of the source and the target language."""


def list_directions(run: RunFolder) -> dict[Pair, str | None]:
    """The directions of a run with their tags, None for no tag. The first one is that of its validations.

    Raises:
        UserError: the folder is damaged.
    """
    return _list_directions(run.description("corpus"), run.tokenizer().source_tag)


def find_tag(run: RunFolder, pair: Pair) -> str | None:
    """The tag of source lines in a direction. In one that is new to the run, it is that of the same target language.

    Raises:
        UserError: the run has no tag for this target language.
    """
    directions, tags = list_directions(run), run.tokenizer().tags
    if pair in directions:
        return directions[pair]
    into_target = [tag for (_, target), tag in directions.items() if target == pair[1]]
    if not into_target and f"2{pair[1]}" not in tags:
        raise UserError(
            f"{run.path} was not trained to translate into {pair[1]}: choose one of its tags {', '.join(tags)}, as in "
            f"data=mix 'data.parts=[{{path: my-text, tag: {next(iter(tags), '2de')}}}]'"
        )
    return into_target[0] if into_target else f"2{pair[1]}"


def _list_directions(corpus: Description, source_tag: str | None) -> dict[Pair, str | None]:
    """The directions of a described corpus; `source_tag` is the tag of a corpus that declares none."""
    arguments = corpus.get("arguments", {})
    if isinstance(arguments.get("corpus"), dict):  # without the pairs that are held out
        return _list_directions(arguments["corpus"], source_tag)
    if corpus.get("class") == "TextCorpus":  # restoring a text has taught the model to write its language
        languages = arguments["languages"] if isinstance(arguments.get("languages"), list) else []
        return {pair: f"2{pair[1]}" for pair in permutations(map(str, languages[:MAX_LANGUAGES]), 2)}
    parts = [(part, tag) for part, tag, _ in list_parts(corpus)]
    if not any(tag for _, tag in parts):
        parts = [(part, source_tag) for part, _ in parts] or [(corpus, source_tag)]
    directions: dict[Pair, str | None] = {}
    for part, tag in parts:
        directions.setdefault(language_pair(part), tag)
    return directions
