"""The analysis of a translation: of the systems' own and of given ones, and by hand."""

import base64
import io
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.image import imread

from nmt.data.grammar import GrammarCorpus
from nmt.data.pharaoh import GoldLinks
from nmt.data.scenes.drawing import draw
from nmt.data.scenes.world import EMPTY, GRID, SYMBOLS
from nmt.errors import UserError
from nmt.explore.analysis import Word, analyse, describe_translation
from nmt.explore.gold import find_gold_links, find_grammars
from nmt.explore.pictures import find_picture
from nmt.explore.systems import System
from nmt.translator import Attention, Translation


@pytest.mark.parametrize("name", ["lstm", "luong", "transformer"])
def test_the_own_translation_is_that_of_the_translator(systems: dict[str, System], name: str) -> None:
    system = systems[name]
    found = system.translator().translate("one two three", attention="all")
    analysis = analyse(system, "one two three")
    assert (analysis.system, analysis.source, analysis.text) == (name, "one two three", found.text)
    assert (analysis.score, analysis.log_probability) == (found.score, found.log_probability)
    assert (analysis.source_pieces, analysis.target_pieces) == (found.source_tokens, found.target_tokens)
    assert analysis.milliseconds is not None and analysis.milliseconds > 0
    assert (analysis.gold, analysis.picture, analysis.heads_off) == (None, None, [])
    # Each piece has its log-probability.
    assert len(analysis.log_probabilities) == len(found.target_tokens)
    assert sum(analysis.log_probabilities) == pytest.approx(found.log_probability, abs=1e-4)
    assert max(analysis.log_probabilities) < 0
    # The attention is complete.
    assert analysis.attention.keys() == found.attention.keys() == system.info.kinds.keys()
    for kind, view in analysis.attention.items():
        attention, size = found.attention[kind], system.info.kinds[kind]
        assert (view.kind, view.layers, view.heads) == (kind, list(range(size.layers)), list(range(size.heads)))
        assert (view.rows, view.columns) == (attention.rows, attention.columns)
        np.testing.assert_allclose(view.weights, attention.weights, atol=0.00001)
        np.testing.assert_allclose(np.sum(view.weights, axis=-1), 1, atol=0.001)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(analysis)), type(analysis)) == analysis


def test_a_given_target_is_analysed_as_text_or_pieces(systems: dict[str, System]) -> None:
    system = systems["luong"]
    own = analyse(system, "one two")
    pieces = analyse(system, "one two", own.target_pieces)
    assert pieces.milliseconds is None
    assert (pieces.text, pieces.attention, pieces.target_words) == (own.text, own.attention, own.target_words)
    assert pieces.score == pytest.approx(own.score, abs=1e-5)
    other = analyse(system, "one two", "neun neun", kinds=())
    assert (other.text, other.attention) == ("neun neun", {})
    assert other.log_probability < own.log_probability


def test_the_own_translation_continues_a_prefix(systems: dict[str, System]) -> None:
    analysis = analyse(systems["luong"], "one two", prefix="neun")
    found = systems["luong"].translator().translate("one two", prefix="neun")
    assert analysis.text.startswith("neun")
    assert (analysis.target_pieces, analysis.score) == (found.target_tokens, found.score)
    with pytest.raises(UserError, match="a target or a prefix, not both"):
        analyse(systems["luong"], "one", "eins", prefix="neun")


def test_heads_that_are_off_change_the_analysis(systems: dict[str, System]) -> None:
    system = systems["transformer"]
    heads = ["encoder.0.0", "encoder.0.1"]
    whole, silenced = analyse(system, "one", "eins"), analyse(system, "one", "eins", heads_off=heads)
    assert silenced.heads_off == heads
    assert silenced.log_probabilities != whole.log_probabilities


def test_a_line_without_words_cannot_be_analysed(systems: dict[str, System]) -> None:
    for target in (None, "eins"):
        with pytest.raises(UserError, match="the source has no words"):
            analyse(systems["luong"], " ", target)
    with pytest.raises(UserError, match="the vocabulary has no piece"):
        analyse(systems["luong"], "one", ["▁uno"])


def test_words_and_links_are_indices() -> None:
    """Ka|tze <br> from cat <br> behind a tag, with links of both and one to a word that was cut off."""
    rows, columns = ["▁Ka", "tze", "<br>", "</s>"], ["<2de>", "▁cat", "<br>", "</s>"]
    weights = np.full((1, 1, 4, 4), 0.25, dtype=np.float32)
    cross = Attention("cross", weights, rows, columns, (0,), (0,))
    translation = Translation(
        "Katze<br>", -1.0, -2.0, columns, rows, {"cross": cross}, log_probabilities=[-0.5, -0.5, -0.5, -0.5]
    )
    links = frozenset({(0, 0), (1, 1), (2, 1)})
    analysis = describe_translation("x", "cat<br>", translation, gold=GoldLinks(sure=links, possible=links))
    assert analysis.target_words == [Word("Katze", [0, 1]), Word("<br>", [2]), Word("</s>", [3])]
    assert analysis.source_words == [Word("<2de>", [0]), Word("cat", [1]), Word("<br>", [2]), Word("</s>", [3])]
    assert analysis.gold == [(1, 0), (2, 1)]
    view = analysis.attention["cross"]
    assert (view.row_words, view.column_words) == (analysis.target_words, analysis.source_words)
    assert view.weights == [[[[0.25] * 4] * 4]]


def test_the_grammar_knows_the_links_of_its_own_pairs_only() -> None:
    sizes = {"train_size": 3, "val_size": 3, "test_size": 3, "test_long_size": 3, "pronouns_size": 2}
    grammar = GrammarCorpus(source="en", target="de", seed=1, **sizes)
    pair = grammar.pairs("test")[0]
    links = find_gold_links(grammar, f" {pair.source} ", pair.target)
    assert links is not None and links.sure == links.possible == set(pair.alignment)
    assert find_gold_links(grammar, pair.source, pair.target + "!") is None
    assert find_gold_links(grammar, "Hello.", "Hallo.") is None
    assert find_gold_links(None, pair.source, pair.target) is None


def test_each_run_gets_the_grammar_of_its_own_languages() -> None:
    sizes = {"train_size": 3, "val_size": 3, "test_size": 3, "test_long_size": 3, "pronouns_size": 2}

    def described(name: str, source: str, target: str, **arguments: int) -> Any:
        corpus = {"class": name, "arguments": {"source": source, "target": target, **arguments}}
        main = GrammarCorpus(source=source, target=target, seed=1, **sizes) if arguments else None
        return SimpleNamespace(description=lambda _: corpus, corpus=lambda: SimpleNamespace(main=main))

    grammar = ("GrammarCorpus", "en", "de"), ("GrammarCorpus", "de", "en")
    runs = [described("FileCorpus", "de", "en"), *(described(*each, seed=1) for each in grammar)]
    runs += [described(*grammar[0], seed=1), described(*grammar[0], seed=2), described("FileCorpus", "en", "fr")]
    of_files, en_de, de_en, same, other_seed, french = find_grammars(runs)
    assert en_de is not None and de_en is not None
    assert (en_de.source, de_en.source) == ("en", "de")
    assert of_files is de_en and same is en_de and french is None
    assert other_seed is not None and other_seed is not en_de


def test_a_complete_picture_becomes_an_image() -> None:
    patches = [EMPTY] * GRID * GRID
    patches[8] = SYMBOLS[5]
    picture = find_picture(["▁", *patches, "▁A", "</s>"])
    assert picture is not None
    assert (picture.rows, picture.columns, picture.first) == (GRID, GRID, 1)
    header, _, content = picture.image.partition(",")
    assert header == "data:image/png;base64"
    pixels = imread(io.BytesIO(base64.b64decode(content)), format="png")
    np.testing.assert_allclose(pixels[:, :, :3], draw(patches), atol=1 / 255)
    assert find_picture(["▁", *patches[1:], "</s>"]) is None
    assert find_picture([*patches[:9], "▁A", *patches[9:], "</s>"]) is None  # a word interrupts it
    assert find_picture(["▁A", "</s>"]) is None


def test_words_of_a_translation_cover_its_pieces(systems: dict[str, System]) -> None:
    analysis = analyse(systems["luong"], "four five six")
    for words, pieces in (
        (analysis.source_words, analysis.source_pieces),
        (analysis.target_words, analysis.target_pieces),
    ):
        assert [index for word in words for index in word.pieces] == list(range(len(pieces)))
        assert all(first.pieces[-1] < second.pieces[0] for first, second in pairwise(words))
