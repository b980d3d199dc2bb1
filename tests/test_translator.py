"""Text in, translations out: order, batches, odd lines, streams, attention, forced decoding, loading, devices."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt import models
from nmt.data.batch import make_batch
from nmt.data.tokenizer import Tokenizer
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.models.attention import KINDS, Kind
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.search import BeamSearch, GreedySearch
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search, SearchRequest
from nmt.translator import Attention, Translation, Translator, sanitize
from nmt.translator.n_best import FindTranslations, find_distinct

MAX_LENGTH = 12  # of the Transformer: 11 pieces and `eos`
SENTENCES = ["one two three", "nine", "seven seven", "four five six one"]
ODD_LINES = [
    "😀 one",
    "\x00",
    "a\x00b",
    "\x01\x02",
    "one \ud800 two",
    "\udfff",
    "one\u2028two",
    "\u2029",
    "\x85",
    "\x0b\x0c\x1c\x1d\x1e",
    "one\ttwo",
    "\ufeffone",
    "\u202eone",
    "👩‍👩‍👧‍👦",
    "e\u0301" * 30,
    "одиннадцать",
    "⁇",
    "</s>",
    "<s> <pad> <unk>",
    "▁",
]
RECURRENT: dict[str, Any] = {
    "cell": {"class": "LSTMCell"},
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 1,
    "dropout": 0.3,
    "embedding_dropout": 0.3,
    "word_dropout": 0.0,
    "variational_dropout": False,
    "recurrent_dropout": 0.0,
}
MODELS: dict[str, dict[str, Any]] = {
    "PlainRNN": RECURRENT,
    "BahdanauRNN": RECURRENT
    | {
        "encoder_dropout": 0.3,
        "span": {"class": "GlobalSpan"},
        "score": {"class": "AdditiveScore", "arguments": {"query_size": 8, "value_size": 8, "attention_size": 8}},
    },
    "LuongRNN": RECURRENT
    | {
        "encoder_dropout": 0.3,
        "input_feeding": True,
        "span": {"class": "GlobalSpan"},
        "score": {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}},
    },
    "Transformer": {
        "model_size": 8,
        "feedforward_size": 8,
        "num_heads": 2,
        "num_key_value_heads": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 3,
        "dropout": 0.3,
        "activation_dropout": 0.3,
        "embedding_dropout": 0.3,
        "word_dropout": 0.0,
        "attention_dropout": 0.0,
        "layer_dropout": 0.0,
        "pre_norm": True,
        "encoder_attention": None,
        "positions": {"class": "SinusoidalPositions", "arguments": {"model_size": 8, "max_length": MAX_LENGTH}},
    },
}


@pytest.fixture(scope="module")
def tokenizer(trained_run: Path) -> Tokenizer:
    return Tokenizer.load(trained_run)


def make_model(tokenizer: Tokenizer, name: str) -> Seq2Seq:
    torch.manual_seed(1)
    arguments = MODELS[name] | {
        "source_vocab_size": tokenizer.source_size,
        "target_vocab_size": tokenizer.target_size,
        "shared_vocab": True,
        "tie_output": False,
    }
    model: Seq2Seq = build({"class": name, "arguments": arguments}, models)
    for parameter in model.parameters():  # large weights: no two sentences get the same scores
        torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def make_translator(tokenizer: Tokenizer, name: str, *, batch_tokens: int = 64) -> Translator:
    search = BeamSearch(beam_size=2, length_penalty=0.6, max_length_factor=1.0, max_length_margin=3)
    return Translator(make_model(tokenizer, name), tokenizer, search, batch_tokens=batch_tokens)


@pytest.fixture(params=MODELS)
def translator(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Translator:
    return make_translator(tokenizer, request.param)


@pytest.fixture(scope="module")
def transformer(tokenizer: Tokenizer) -> Translator:
    return make_translator(tokenizer, "Transformer")


def fail_on_warning(index: int, message: str) -> None:
    raise AssertionError(f"{index}: {message}")


def test_translations_are_in_the_order_of_their_lines(translator: Translator) -> None:
    alone = [translator.translate([line])[0] for line in SENTENCES]
    together = translator.translate(SENTENCES)
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.log_probability for one in alone}) == len(SENTENCES)  # so a wrong order is detected
    for one, other in zip(together, alone, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
        assert one.source_tokens == other.source_tokens


def test_the_batch_size_changes_nothing(tokenizer: Tokenizer) -> None:
    texts = [
        [one.text for one in make_translator(tokenizer, "LuongRNN", batch_tokens=size).translate(SENTENCES)]
        for size in (1, 9, 1000)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_no_batch_exceeds_batch_tokens(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = make_translator(tokenizer, "PlainRNN", batch_tokens=40)
    shapes: list[torch.Size] = []
    search = translator.search

    def logged_search(model: Seq2Seq, request: SearchRequest) -> list[list[Hypothesis]]:
        shapes.append(request.source.shape)
        return search(model, request)

    monkeypatch.setattr(translator, "search", logged_search)
    translator.translate(SENTENCES * 5)
    assert sum(shape[0] for shape in shapes) == len(SENTENCES) * 5
    assert all(shape.numel() <= 40 or shape[0] == 1 for shape in shapes)
    assert len(shapes) < len(SENTENCES) * 5


@pytest.mark.parametrize("line", ["", " ", "\t", "\u3000 \u00a0", "\x00", "\x01", "\n"])
def test_a_line_without_words_has_an_empty_translation(translator: Translator, line: str) -> None:
    first, empty, last = translator.translate(
        [SENTENCES[0], line, SENTENCES[1]], attention="cross", warn=fail_on_warning
    )
    assert (empty.text, empty.source_tokens, empty.target_tokens, empty.attention) == ("", [], [], {})
    assert [first.source_tokens, last.source_tokens] == [
        one.source_tokens for one in translator.translate([SENTENCES[0], SENTENCES[1]])
    ]


def test_no_lines_give_no_translations(translator: Translator) -> None:
    assert translator.translate([]) == []
    assert translator.translate(["", ""])[1].text == ""


def test_a_line_over_the_limit_is_cut_with_a_warning(transformer: Translator) -> None:
    warnings: list[tuple[int, str]] = []
    lines = ["one", "", " ".join(["one two"] * 40), "two"]
    found = transformer.translate(lines, warn=lambda *warning: warnings.append(warning))
    num_pieces = len(transformer.tokenizer.encode_source([lines[2]])[0])
    assert warnings == [(2, f"{num_pieces} pieces, but the model takes at most 11: the rest is cut off")]
    assert len(found) == 4
    assert len(found[2].source_tokens) == MAX_LENGTH
    assert found[2].source_tokens[-1] == "</s>"


def test_a_line_at_the_limit_is_not_cut(transformer: Translator) -> None:
    tokenizer = transformer.tokenizer
    words = next(
        text
        for count in range(1, 12)
        for text in (" ".join(["nine"] * count), " ".join(["one"] * count))
        if len(tokenizer.encode_source([text])[0]) == MAX_LENGTH - 1
    )
    assert len(transformer.translate([words], warn=fail_on_warning)[0].source_tokens) == MAX_LENGTH


def test_a_model_without_a_limit_takes_a_long_line(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "PlainRNN")
    (found,) = translator.translate([" ".join(["one"] * 40)], warn=fail_on_warning)
    assert len(found.source_tokens) > 40


def is_one_line(text: str) -> bool:
    return "\n" not in text and "\r" not in text and text == text.encode().decode()


@pytest.mark.parametrize("line", ODD_LINES)
def test_an_odd_line_gives_one_line_of_output(translator: Translator, line: str) -> None:
    first, odd, last = translator.translate(["one", line, "two"])
    assert is_one_line(odd.text)
    assert [first.text, last.text] == [one.text for one in translator.translate(["one", "two"])]


@settings(max_examples=40)
@given(lines=st.lists(st.text(st.characters(categories=None), max_size=20), max_size=4))
def test_every_line_gives_one_line_of_output(transformer: Translator, lines: list[str]) -> None:
    found = transformer.translate(lines)
    assert len(found) == len(lines)
    assert all(is_one_line(one.text) for one in found)


@given(line=st.text(st.characters(categories=None)))
def test_a_sanitized_line_can_be_written_in_utf8(line: str) -> None:
    assert "\0" not in sanitize(line)
    assert len(sanitize(line)) == len(line.replace("\0", " ").strip(" "))
    assert sanitize(line).encode("utf-8").decode("utf-8") == sanitize(line)


def test_sanitize_keeps_valid_text() -> None:
    assert sanitize("Ein Hündchen 😀\u2028.") == "Ein Hündchen 😀\u2028."


# --- n-best ---


def test_the_first_of_the_n_best_is_the_translation(translator: Translator) -> None:
    several = translator.translate([*SENTENCES, ""], n_best=2)
    best = translator.translate([*SENTENCES, ""])
    assert [found[0].text for found in several] == [one.text for one in best]
    assert [len(found) for found in several] == [2, 2, 2, 2, 1]
    for found in several[:-1]:
        assert found[0].score >= found[1].score
        assert found[0].target_tokens != found[1].target_tokens


def find_scripted(
    hypotheses: dict[int, list[tuple[str, float]]],
) -> tuple[FindTranslations[list[int]], list[tuple[int, int]]]:
    """A search whose hypotheses (text, score), best first, are written down; a beam of K finds the K first ones.

    Also returns the list to which each search appends its number of sentences and its number of hypotheses.
    """
    calls: list[tuple[int, int]] = []

    def find(sources: Sequence[list[int]], search: Search, n_best: int) -> list[list[Translation]]:
        calls.append((len(sources), n_best))
        return [
            [Translation(text, score, score, [], []) for text, score in hypotheses[name][:n_best]] for [name] in sources
        ]

    return find, calls


def scripted_beam(size: int) -> BeamSearch:
    return BeamSearch(beam_size=size, length_penalty=0.0, max_length_factor=1.0, max_length_margin=1)


def test_segmentations_of_one_text_are_merged_and_wider_beams_supply_the_missing_texts() -> None:
    hypotheses = {
        1: [("a", -1.0), ("a", -2.0), ("b", -3.0), ("a  ", -4.0), ("c", -5.0), ("d", -6.0)],
        2: [("x", -1.0), ("y", -2.0), ("z", -3.0)],
        3: [("k", -1.0), ("k", -2.0)],  # it has only one translation within the length limit
    }
    find, calls = find_scripted(hypotheses)
    found = find_distinct(find, [[1], [2], [3]], scripted_beam(2), 2)
    assert [[(one.text, one.score) for one in texts[:2]] for texts in found] == [
        [("a", -1.0), ("b", -3.0)],
        [("x", -1.0), ("y", -2.0)],
        [("k", -1.0)],
    ]
    # All with a beam of 2; sentences 1 and 3 with 4, one at a time, since 3 // 2 = 1. Then 3 has nothing more to find.
    assert calls == [(3, 2), (1, 4), (1, 4)]


def test_wider_beams_change_neither_the_best_translation_nor_the_score_of_a_text() -> None:
    calls = 0

    def find(sources: Sequence[list[int]], search: Search, n_best: int) -> list[list[Translation]]:
        nonlocal calls
        calls += 1
        narrow = [("a", -2.0), ("a", -3.0)]
        wide = [("better", -1.0), ("a", -1.5), ("b", -2.5), ("c", -4.0)]
        pairs = narrow if calls == 1 else wide
        return [[Translation(text, score, score, [], []) for text, score in pairs]]

    [found] = find_distinct(find, [[1]], scripted_beam(2), 2)
    assert [(one.text, one.score) for one in found] == [("a", -2.0), ("b", -2.5), ("c", -4.0)]


def test_the_best_translation_alone_needs_one_search() -> None:
    find, calls = find_scripted({1: [("a", -1.0), ("a", -2.0)]})
    assert len(find_distinct(find, [[1]], scripted_beam(2), 1)[0]) == 1
    assert calls == [(1, 1)]


def test_the_n_best_of_every_architecture_have_distinct_texts_and_their_forced_scores(translator: Translator) -> None:
    n_best = 4
    lines = [*SENTENCES, " ".join(["one two"] * 40)]  # the last one is cut by the Transformer
    best = translator.translate(lines, beam_size=n_best)
    several = translator.translate(lines, n_best=n_best, beam_size=n_best)
    for line, first, found in zip(lines, best, several, strict=True):
        assert len({" ".join(one.text.split()) for one in found}) == len(found) == n_best
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert (found[0].text, found[0].target_tokens) == (first.text, first.target_tokens)
        for one in found if line in SENTENCES[:2] else found[:1]:
            forced = translator.force_decode(line, one.target_tokens)
            assert forced.target_tokens == one.target_tokens
            assert forced.score == pytest.approx(one.score, abs=1e-4)
            assert forced.log_probability == pytest.approx(one.log_probability, abs=1e-4)
            assert forced.source_truncated == one.source_truncated
            if one.text.strip():
                by_text = translator.force_decode(line, one.text, beam_size=n_best)
                assert (by_text.text, by_text.target_tokens) == (one.text, one.target_tokens)
                assert by_text.score == pytest.approx(one.score, abs=1e-4)


@pytest.mark.parametrize("value", [0, -1, 2.5, "2", True, 3])
def test_a_wrong_number_of_translations_is_a_user_error(transformer: Translator, value: Any) -> None:
    with pytest.raises(UserError, match=re.escape(f"n_best={value!r} must be ")):
        transformer.translate(SENTENCES, n_best=value)


# --- one string or several ---


def test_a_string_gives_a_translation_and_an_iterable_a_list(transformer: Translator) -> None:
    texts = [one.text for one in transformer.translate(SENTENCES)]
    one = transformer.translate(SENTENCES[0])
    assert isinstance(one, Translation)
    assert one.text == texts[0]
    for several in (tuple(SENTENCES), iter(SENTENCES), (line for line in SENTENCES), dict.fromkeys(SENTENCES)):
        assert [each.text for each in transformer.translate(several)] == texts
    assert transformer.translate(SENTENCES[0], n_best=2)[0].text == texts[0]
    assert [len(each) for each in transformer.translate(SENTENCES, n_best=1)] == [1] * len(SENTENCES)
    assert transformer.translate("").text == transformer.translate(" ", n_best=2)[0].text == ""
    assert transformer.translate("one\ntwo").text == transformer.translate("one two").text


def test_a_single_string_has_attention_unless_it_is_switched_off(transformer: Translator) -> None:
    assert transformer.translate("one").attention.keys() == {"cross"}
    assert transformer.translate("one", attention=()).attention == {}
    assert transformer.translate(["one"])[0].attention == {}
    assert transformer.translate(["one"], attention=KINDS)[0].attention.keys() == set(KINDS)
    with pytest.raises(UserError, match="attention=self is unknown: it can be cross, encoder, decoder"):
        transformer.translate("one", attention=["cross", "self"])  # type: ignore[list-item]
    assert transformer.translate("one") == transformer.translate("one")


@pytest.mark.parametrize("model_class", ["LuongRNN", "BahdanauRNN", "Transformer"])
def test_a_model_in_bfloat16_has_attention_in_float32(tokenizer: Tokenizer, model_class: str) -> None:
    translator = make_translator(tokenizer, model_class)
    translator.model.bfloat16()
    weights = translator.translate("one two").attention["cross"].weights
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(-1), 1, atol=2**-7)  # bfloat16 has 8 bits of precision


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"one", "not bytes"),
        (None, "not NoneType"),
        (3, "not int"),
        (Path("one"), "not PosixPath"),
        (["one", None], "item 1 is NoneType"),
        (["one", b"two"], "item 1 is bytes: b'two'"),
        ([["one"]], r"item 0 is list: \['one'\]"),
        ({"one": 1}.values(), "item 0 is int: 1"),
    ],
)
def test_anything_but_strings_is_a_type_error(transformer: Translator, lines: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        transformer.translate(lines)


def test_options_of_the_search_are_arguments_of_translate(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "LuongRNN")
    own = translator.search
    short, long = translator.translate("one", max_length_margin=1), translator.translate("one", min_length=9)
    assert len(short.target_tokens) <= 3 < 10 <= len(long.target_tokens)
    pieces = translator.translate("one two three", min_length=12, no_repeat_ngram=1).target_tokens
    assert len(set(pieces)) == len(pieces) == 13
    wide = translator.translate(SENTENCES, beam_size=6, length_penalty=0.0)
    assert all(one.score == one.log_probability for one in wide)
    assert translator.search is own
    with pytest.raises(TypeError, match="translate has no argument 'beam'; those of the search are beam_size, "):
        translator.translate("one", beam=3)  # type: ignore[call-overload]
    with pytest.raises(UserError, match="beam_size='3' must be a whole number of at least 1"):
        translator.translate("one", beam_size="3")  # type: ignore[call-overload]


def test_a_translation_states_what_was_cut(transformer: Translator) -> None:
    cut, _ = transformer.translate([" ".join(["one two"] * 40), "one"])
    assert cut.source_truncated
    whole = transformer.translate("one", max_length_margin=1, max_length_factor=0.0)
    assert whole.target_tokens == ["</s>"]
    assert whole.truncated and not whole.source_truncated


# --- streams ---


def test_a_stream_gives_the_same_translations(translator: Translator) -> None:
    lines = [*SENTENCES, "", *ODD_LINES]
    options: dict[str, Any] = {"n_best": 1, "batch_size": 3, "copy": False}
    streamed = list(translator.stream(iter(lines), **options, warn=lambda *_: None))
    assert [found[0].text for found in streamed] == [one.text for one in translator.translate(lines)]


def test_a_stream_reads_no_further_than_its_batch(transformer: Translator) -> None:
    num_read = 0

    def lines() -> Iterator[str]:
        nonlocal num_read
        for _ in range(100):
            num_read += 1
            yield "one"

    stream = transformer.stream(lines(), n_best=1, batch_size=4, copy=False, warn=fail_on_warning)
    assert num_read == 0
    for number in range(1, 11):
        next(stream)
        assert num_read <= (number - 1) // 4 * 4 + 4


def test_warnings_of_a_stream_count_from_its_first_line(transformer: Translator) -> None:
    warned: list[int] = []
    lines = ["one"] * 10
    lines[1] = lines[8] = " ".join(["one two"] * 20)
    stream = transformer.stream(lines, n_best=1, batch_size=3, copy=False, warn=lambda index, _: warned.append(index))
    assert len(list(stream)) == 10
    assert warned == [1, 8]


# --- attention ---


def test_attention_has_a_row_for_each_target_piece(translator: Translator) -> None:
    is_transformer = isinstance(translator.model, models.Transformer)
    for best in translator.translate(SENTENCES, n_best=2, attention=KINDS):
        for found in best:
            if isinstance(translator.model, models.PlainRNN):
                assert found.attention == {}
                assert found.alignment() is None
                continue
            assert found.attention.keys() == (set(KINDS) if is_transformer else {"cross"})
            for kind, attention in found.attention.items():
                assert attention.kind == kind
                assert attention.rows == (found.source_tokens if kind == "encoder" else found.target_tokens)
                read = ["<s>", *found.target_tokens[:-1]]
                assert attention.columns == (read if kind == "decoder" else found.source_tokens)
                assert len(attention.weights) == (1 if kind == "encoder" or not is_transformer else 3)
                np.testing.assert_allclose(attention.weights.sum(-1), 1, atol=1e-5)
                assert (attention.weights >= 0).all()
            matrix = found.alignment()
            assert matrix is not None
            assert matrix.shape == (len(found.target_tokens), len(found.source_tokens))


def test_attention_is_that_of_the_translation_alone(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the batch nor its division into several passes makes a difference."""
    together = translator.translate(SENTENCES, n_best=2, attention=KINDS)
    monkeypatch.setattr("nmt.translator.attending.MAX_ATTENTION_CELLS", 30)
    in_parts = translator.translate(SENTENCES, n_best=2, attention=KINDS)
    for line, best, divided in zip(SENTENCES, together, in_parts, strict=True):
        for found, other in zip(best, divided, strict=True):
            forced = translator.force_decode(line, found.target_tokens, attention=KINDS)
            for one in (forced, other):
                assert one.attention.keys() == found.attention.keys()
                for kind, attention in one.attention.items():
                    np.testing.assert_allclose(attention.weights, found.attention[kind].weights, atol=1e-5)


def test_attention_is_not_computed_unless_requested(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(translator.model), "attention", None)
    assert all(found.attention == {} for found in translator.translate(SENTENCES))
    assert translator.force_decode("one", "eins", attention=()).attention == {}


def test_requesting_attention_changes_no_translation(translator: Translator) -> None:
    assert translator.translate(SENTENCES, attention=KINDS) == translator.translate(SENTENCES)


def cross_attention(weights: list[Any]) -> dict[Kind, Attention]:
    """Attention (layers, heads, 1, 2) of one target piece to two source pieces."""
    matrices = np.array(weights, dtype=np.float32)
    layers, heads = (tuple(range(size)) for size in matrices.shape[:2])
    return {"cross": Attention("cross", matrices, ["</s>"], ["a", "</s>"], layers, heads)}


def test_alignment_averages_the_heads_of_one_layer_or_of_all() -> None:
    weights = [[[[1, 0]], [[1, 0]]], [[[1, 0]], [[0, 1]]], [[[0, 1]], [[1, 0]]]]
    found = Translation("", 0.0, 0.0, ["a", "</s>"], ["</s>"], cross_attention(weights))
    expected = {0: [[1.0, 0.0]], 1: [[0.5, 0.5]], 2: [[0.5, 0.5]]}
    for layer, matrix in expected.items():
        np.testing.assert_allclose(found.alignment(layer=layer), matrix)  # type: ignore[arg-type]
    # Four of the six heads attend to the first piece.
    np.testing.assert_allclose(found.alignment(), [[4 / 6, 2 / 6]], atol=1e-6)  # type: ignore[arg-type]
    for layer in (-1, 3):
        with pytest.raises(UserError, match=rf"there is no layer {layer}: choose 0 to 2"):
            found.alignment(layer=layer)


# --- forced decoding ---


@pytest.mark.parametrize(("source", "target"), [("one two", "eins zwei"), ("nine", "neun neun"), ("six", "\0sechs")])
def test_forced_decoding_equals_teacher_forcing(translator: Translator, source: str, target: str) -> None:
    tokenizer = translator.tokenizer
    target_ids = tokenizer.encode_target([sanitize(target)])
    batch = make_batch(
        tokenizer.encode_source([source]),
        target_ids,
        pad_id=tokenizer.pad_id,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
    )
    with torch.no_grad():
        logits = translator.model(batch.source, batch.source_mask, batch.target_input)[0].double()
    of_pieces = -torch.nn.functional.cross_entropy(logits, batch.target_output[0], reduction="none")
    expected = of_pieces.sum()
    pieces = tokenizer.target_pieces(target_ids[0])
    forced = translator.force_decode(source, pieces)
    assert forced.log_probability == pytest.approx(float(expected), rel=1e-4)
    assert forced.log_probabilities == pytest.approx(of_pieces.tolist(), rel=1e-3, abs=1e-5)
    assert forced.score == pytest.approx(float(expected) / ((5 + len(pieces) + 1) / 6) ** 0.6, rel=1e-4)
    assert forced.text == tokenizer.decode_target(target_ids[0])
    assert forced.target_tokens == tokenizer.target_pieces([*target_ids[0], tokenizer.eos_id])
    matrix = forced.alignment()
    if matrix is not None:
        assert matrix.shape == (len(forced.target_tokens), len(forced.source_tokens))
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    else:
        assert isinstance(translator.model, models.PlainRNN)


def test_a_trained_run_scores_its_translations_as_it_found_them(trained_run: Path) -> None:
    translator = Translator.load(trained_run, device="cpu")
    for line, n_best in zip(SENTENCES, translator.translate(SENTENCES, n_best=5), strict=True):
        assert len(n_best) == 5
        for found in n_best:
            forced = translator.force_decode(line, found.text or found.target_tokens)
            assert forced.target_tokens == found.target_tokens
            assert forced.score == pytest.approx(found.score, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("", "eins", "the source has no words"),
        ("one", " ", "the target has no words"),
        ("one", ["▁eins", "▁uno"], "the vocabulary has no piece '▁uno'"),
        ("one", " ".join(["eins"] * 40), r"the target has \d+ pieces, but the model takes at most 11"),
    ],
)
def test_forced_decoding_refuses_empty_sides_long_targets_and_unknown_pieces(
    transformer: Translator, source: str, target: str | list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        transformer.force_decode(source, target)


def test_forced_decoding_replaces_half_of_a_surrogate_pair(transformer: Translator) -> None:
    assert transformer.force_decode("one", "eins \ud800").target_tokens[-2:] == ["?", "</s>"]


def test_forced_decoding_cuts_a_long_source_with_a_warning(transformer: Translator) -> None:
    warnings: list[int] = []
    forced = transformer.force_decode(
        " ".join(["one"] * 40), "eins", warn=lambda index, message: warnings.append(index)
    )
    assert warnings == [0]
    assert forced.source_truncated
    assert len(forced.source_tokens) == MAX_LENGTH


# --- loading and devices ---


def test_load_uses_the_search_of_the_run_or_a_given_one(trained_run: Path) -> None:
    assert isinstance(Translator.load(trained_run, device="cpu").search, BeamSearch)
    greedy = GreedySearch(max_length_factor=1.5, max_length_margin=10)
    translator = Translator.load(str(trained_run), search=greedy, device="cpu")
    assert translator.search is greedy
    assert not translator.model.training
    assert len(translator.translate(["one two"])) == 1


def test_on_a_cpu_linear_weights_are_stored_by_columns(trained_run: Path) -> None:
    """Products with few rows are fastest this way; embeddings stay stored by rows, also one tied to the output."""
    model = Translator.load(trained_run, device="cpu").model
    saved = RunFolder.open(trained_run).model()
    linear = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    assert "vocabulary.output" in linear
    for name in linear:
        weight = model.get_parameter(f"{name}.weight")
        assert weight.t().is_contiguous(), name
        assert torch.equal(weight, saved.get_parameter(f"{name}.weight")), name
    for name in ("vocabulary.target", "vocabulary.source"):
        assert model.get_parameter(f"{name}.weight").is_contiguous()


def test_scores_that_are_not_finite_are_a_user_error(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "LuongRNN")
    torch.nn.init.constant_(translator.model.get_parameter("vocabulary.output.weight"), float("nan"))
    with pytest.raises(UserError, match="no translation was found, since the model's scores are not finite numbers"):
        translator.translate(["one two"])


def test_load_refuses_a_missing_folder_and_a_wrong_batch_size(tmp_path: Path, trained_run: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        Translator.load(tmp_path / "missing", device="cpu")
    with pytest.raises(UserError, match="batch_tokens=0"):
        Translator.load(trained_run, device="cpu", batch_tokens=0)


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "mps", "tpu", "cuda:x", "meta"])
def test_an_unknown_device_is_a_user_error(name: str) -> None:
    with pytest.raises(UserError, match=f"device={name} is unknown: use auto, cpu or cuda"):
        pick_device(name)


def test_a_missing_device_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UserError, match="device=cuda:1 is not available: CUDA devices on this machine: 1; use cpu"):
        pick_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="device=cuda is not available"):
        pick_device("cuda")


@pytest.mark.parametrize("available", [False, True])
def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch, available: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device("auto").type == ("cuda" if available else "cpu")
    assert pick_device("cpu").type == "cpu"
