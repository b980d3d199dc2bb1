"""Choosing where links are read, on weights that are made so that the answer is known."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nmt.alignment.choice import AlignmentChoice, choice_path, choose_extraction, read_choice
from nmt.alignment.extraction import Extraction
from nmt.alignment.lexical import align_lexically
from nmt.alignment.word_attention import WordAttention
from nmt.data.pharaoh import GoldLinks, parse_links
from nmt.errors import UserError
from nmt.files import write_json, write_text
from nmt.run import RunFolder

SENTENCES = [("a b c", "z y x"), ("b a", "x y"), ("c a b", "y x z"), ("c b", "z y"), ("a c", "x z")]
TRANSLATIONS = {"a": "x", "b": "y", "c": "z"}


def gold_links(source: list[str], target: list[str]) -> GoldLinks:
    links = [(i, target.index(TRANSLATIONS[word])) for i, word in enumerate(source)]
    return parse_links(" ".join(f"{i}-{j}" for i, j in links), location="test")


def make_attention(source: list[str], target: list[str], *, layer: int, head: int) -> WordAttention:
    """Two layers of two heads: one attends to the translation of the word just read, the others to the word beside."""
    num_source, num_target = len(source), len(target)
    weights = np.full((2, 2, num_target + 1, num_source + 1), 0.1 / num_source, dtype=np.float32)
    for i, j in gold_links(source, target).sure:
        weights[..., j + 1, (i + 1) % num_source] = 0.9
        weights[layer, head, j + 1] = 0.1 / num_source
        weights[layer, head, j + 1, i] = 0.9
    return WordAttention(
        layers=(0, 1),
        weights=weights,
        source_words=source,
        target_words=target,
        source_pieces=[[index] for index in range(num_source)],
        target_pieces=[[index] for index in range(num_target)],
    )


@pytest.mark.parametrize(("layer", "head"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("criterion", ["gold", "lexical"])
def test_the_head_and_the_shifted_rows_are_found(layer: int, head: int, criterion: str) -> None:
    pairs = [(source.split(), target.split()) for source, target in SENTENCES]
    attention = [make_attention(*pair, layer=layer, head=head) for pair in pairs]
    links = [gold_links(*pair) for pair in pairs] if criterion == "gold" else align_lexically(pairs)
    extraction, counts = choose_extraction(attention, links)
    assert (extraction.layer, extraction.head, extraction.rows) == (layer, head, "shifted")
    assert counts.error_rate == 0


def test_a_threshold_is_found_where_words_have_two_links_or_none() -> None:
    """The first target word translates both source words; the second translates none, and attends to the end."""
    weights = np.array([[0.5, 0.4, 0.1], [0.1, 0.05, 0.85], [0.05, 0.05, 0.9]], dtype=np.float32)
    attention = WordAttention(
        layers=(0,),
        weights=weights[None, None],  # (1, 1, T, S)
        source_words=["a", "b"],
        target_words=["x", "y"],
        source_pieces=[[0], [1]],
        target_pieces=[[0], [1]],
    )
    links = frozenset({(0, 0), (1, 0)})
    extraction, counts = choose_extraction([attention], [GoldLinks(links, links)])
    assert (extraction.method, extraction.threshold, counts.error_rate) == ("threshold", 0.2, 0)


def test_a_lexical_alignment_finds_words_that_occur_together() -> None:
    pairs = [(source.split(), target.split()) for source, target in SENTENCES]
    assert align_lexically(pairs) == [gold_links(*pair) for pair in pairs]


def test_a_lexical_alignment_of_an_empty_side_has_no_links() -> None:
    assert align_lexically([([], ["x"]), (["a"], []), ([], [])]) == [GoldLinks(frozenset(), frozenset())] * 3


CHOICE = AlignmentChoice(
    extraction=Extraction(layer=1, head=None, rows="first", method="union"),
    criterion="gold",
    split="val",
    pairs=20,
    error_rate=0.1,
    precision=0.9,
    recall=0.9,
    model_hash="abc",
)


def test_a_stored_choice_holds_for_its_model_only(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_choice(run, model_hash="abc") is None
    write_json(choice_path(run), msgspec.to_builtins(CHOICE))
    assert read_choice(run, model_hash="abc") == CHOICE
    assert read_choice(run, model_hash="abd") is None
    assert CHOICE.description == (
        "layer 1, mean of its heads, rows first, union; chosen on 20 pairs of val by its gold links"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [('"union"', '"onion"'), ('"layer": 1', '"layer": -1'), ('"layer": 1', '"layer": null, "head": 2'), ("{", "")],
)
def test_a_damaged_choice_is_refused(tmp_path: Path, old: str, new: str) -> None:
    run = RunFolder(tmp_path)
    write_json(choice_path(run), msgspec.to_builtins(CHOICE))
    write_text(choice_path(run), choice_path(run).read_text().replace('"head": null,\n', "", 1).replace(old, new, 1))
    with pytest.raises(UserError, match=r"alignment\.json is damaged"):
        read_choice(run, model_hash="abc")
