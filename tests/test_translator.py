from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt import models
from nmt.data.batch import make_batch
from nmt.data.tokenizer import Tokenizer
from nmt.device import pick_device
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.search import BeamSearch, GreedySearch
from nmt.translator import Translation, Translator, clean

LENGTH = 12  # the Transformer's limit: 11 pieces and `eos`
SENTENCES = ["one two three", "nine", "seven seven", "four five six one"]
STRANGE = [
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
RECURRENT = {"embedding_size": 8, "hidden_size": 8, "num_layers": 1, "dropout": 0.3}
MODELS: dict[str, dict[str, Any]] = {
    "LSTM": RECURRENT,
    "BahdanauLSTM": RECURRENT | {"attention_size": 8},
    "LuongLSTM": RECURRENT
    | {"input_feeding": True, "score": {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}},
    "Transformer": {
        "model_size": 8,
        "feedforward_size": 8,
        "num_heads": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 3,
        "dropout": 0.3,
        "pre_norm": True,
        "max_length": LENGTH,
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
    for parameter in model.parameters():  # far from uniform, so that equal results mean something
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


def refuse(number: int, message: str) -> None:
    raise AssertionError(f"{number}: {message}")


def test_translations_are_in_the_order_of_their_lines(translator: Translator) -> None:
    alone = [translator.translate([line])[0] for line in SENTENCES]
    together = translator.translate(SENTENCES)
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.log_probability for one in alone}) == len(SENTENCES)  # so that an exchange would show
    for one, other in zip(together, alone, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
        assert one.source_tokens == other.source_tokens


def test_the_size_of_a_batch_changes_nothing(tokenizer: Tokenizer) -> None:
    texts = [
        [one.text for one in make_translator(tokenizer, "LuongLSTM", batch_tokens=size).translate(SENTENCES)]
        for size in (1, 9, 1000)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_a_batch_holds_no_more_than_its_budget(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "LSTM", batch_tokens=40)
    sizes = []
    search = translator.search

    def spy(model: Seq2Seq, source: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(source.shape)
        return search(model, source, *rest, **options)

    translator.search = spy
    translator.translate(SENTENCES * 5)
    assert sum(shape[0] for shape in sizes) == len(SENTENCES) * 5
    assert all(shape.numel() <= 40 or shape[0] == 1 for shape in sizes)
    assert len(sizes) < len(SENTENCES) * 5


@pytest.mark.parametrize("line", ["", " ", "\t", "\u3000 \u00a0", "\x00", "\x01", "\n"])
def test_a_line_without_words_has_an_empty_translation(translator: Translator, line: str) -> None:
    first, empty, last = translator.translate([SENTENCES[0], line, SENTENCES[1]], need_attention=True, warn=refuse)
    assert (empty.text, empty.source_tokens, empty.target_tokens, empty.attention) == ("", [], [], None)
    assert [first.source_tokens, last.source_tokens] == [
        one.source_tokens for one in translator.translate([SENTENCES[0], SENTENCES[1]])
    ]


def test_no_lines_no_translations(translator: Translator) -> None:
    assert translator.translate([]) == []
    assert translator.translate(["", ""])[1].text == ""


def test_a_long_line_is_cut_with_a_warning(transformer: Translator) -> None:
    warnings: list[tuple[int, str]] = []
    lines = ["one", "", " ".join(["one two"] * 40), "two"]
    found = transformer.translate(lines, warn=lambda number, message: warnings.append((number, message)))
    num_pieces = len(transformer.tokenizer.encode_source([lines[2]])[0])
    assert warnings == [(2, f"{num_pieces} pieces, the model takes 11: the rest is cut off")]
    assert len(found) == 4
    assert len(found[2].source_tokens) == LENGTH
    assert found[2].source_tokens[-1] == "</s>"


def test_a_line_at_the_limit_is_not_cut(transformer: Translator) -> None:
    tokenizer = transformer.tokenizer
    words = next(
        text
        for count in range(1, 12)
        for text in (" ".join(["nine"] * count), " ".join(["one"] * count))
        if len(tokenizer.encode_source([text])[0]) == LENGTH - 1
    )
    assert len(transformer.translate([words], warn=refuse)[0].source_tokens) == LENGTH


def test_without_a_limit_nothing_is_cut(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "LSTM")
    (found,) = translator.translate([" ".join(["one"] * 40)], warn=refuse)
    assert len(found.source_tokens) > 40


def is_one_line(text: str) -> bool:
    return "\n" not in text and "\r" not in text and text == text.encode().decode()


@pytest.mark.parametrize("line", STRANGE)
def test_a_strange_line_is_one_line_out(translator: Translator, line: str) -> None:
    first, strange, last = translator.translate(["one", line, "two"])
    assert is_one_line(strange.text)
    assert [first.text, last.text] == [one.text for one in translator.translate(["one", "two"])]


@settings(max_examples=40)
@given(lines=st.lists(st.text(st.characters(categories=None), max_size=20), max_size=4))
def test_any_lines_are_as_many_lines_out(transformer: Translator, lines: list[str]) -> None:
    found = transformer.translate(lines)
    assert len(found) == len(lines)
    assert all(is_one_line(one.text) for one in found)


@given(line=st.text(st.characters(categories=None)))
def test_a_clean_line_can_be_written(line: str) -> None:
    assert "\0" not in clean(line)
    assert len(clean(line)) == len(line)
    assert clean(line).encode("utf-8").decode("utf-8") == clean(line)


def test_clean_leaves_good_text_alone() -> None:
    assert clean("Ein Hündchen 😀\u2028.") == "Ein Hündchen 😀\u2028."


# n-best


def test_the_best_of_n_is_the_translation(translator: Translator) -> None:
    several = translator.n_best([*SENTENCES, ""], n_best=2)
    best = translator.translate([*SENTENCES, ""])
    assert [found[0].text for found in several] == [one.text for one in best]
    assert [len(found) for found in several] == [2, 2, 2, 2, 1]
    for found in several[:-1]:
        assert found[0].score >= found[1].score
        assert found[0].target_tokens != found[1].target_tokens


# A stream


def test_a_stream_is_translate(translator: Translator) -> None:
    lines = [*SENTENCES, "", *STRANGE]
    streamed = list(translator.stream(iter(lines), n_best=1, batch_size=3, need_attention=False, warn=lambda *_: None))
    assert [found[0].text for found in streamed] == [one.text for one in translator.translate(lines)]


def test_a_stream_pulls_no_further_than_a_batch(transformer: Translator) -> None:
    pulled = 0

    def lines() -> Iterator[str]:
        nonlocal pulled
        for _ in range(100):
            pulled += 1
            yield "one"

    stream = transformer.stream(lines(), n_best=1, batch_size=4, need_attention=False, warn=refuse)
    assert pulled == 0
    for number in range(1, 11):
        next(stream)
        assert pulled <= (number - 1) // 4 * 4 + 4


def test_a_stream_counts_its_lines_from_the_first(transformer: Translator) -> None:
    warned: list[int] = []
    lines = ["one"] * 10
    lines[1] = lines[8] = " ".join(["one two"] * 20)
    stream = transformer.stream(
        lines, n_best=1, batch_size=3, need_attention=False, warn=lambda number, _: warned.append(number)
    )
    assert len(list(stream)) == 10
    assert warned == [1, 8]


# Attention


def test_attention_has_a_row_for_each_piece(translator: Translator) -> None:
    for found in translator.translate(SENTENCES, need_attention=True):
        shape = (len(found.target_tokens), len(found.source_tokens))
        if isinstance(translator.model, models.LSTM):
            assert found.attention is None and found.alignment() is None
            continue
        assert found.attention is not None
        middle = (3, 2) if isinstance(translator.model, models.Transformer) else ()
        assert found.attention.shape == (shape[0], *middle, shape[1])
        matrix = found.alignment()
        assert matrix is not None and matrix.shape == shape
        torch.testing.assert_close(matrix.sum(1), torch.ones(shape[0]))
        assert bool((matrix >= 0).all())


def test_attention_is_not_recorded_unasked(translator: Translator) -> None:
    assert all(found.attention is None for found in translator.translate(SENTENCES))


def test_asking_for_attention_changes_no_translation(translator: Translator) -> None:
    asked = translator.translate(SENTENCES, need_attention=True)
    assert [one.text for one in asked] == [one.text for one in translator.translate(SENTENCES)]


def test_alignment_takes_one_layer_and_the_mean_of_its_heads() -> None:
    attention = torch.zeros(1, 3, 2, 2)  # (T, layers, H, S)
    attention[0, 0] = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    attention[0, 1] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    attention[0, 2] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = Translation("", 0.0, 0.0, ["a", "</s>"], ["</s>"], attention)
    assert [found.alignment(layer=layer).tolist() for layer in (0, 1, 2)] == [
        [[1, 0]],
        [[0.5, 0.5]],
        [[0.5, 0.5]],
    ]
    torch.testing.assert_close(
        found.alignment(), torch.tensor([[4 / 6, 2 / 6]])
    )  # of six heads, four look at the first
    for layer in (-1, 3):
        with pytest.raises(ValueError, match=rf"layer={layer} must be from 0 to 2"):
            found.alignment(layer=layer)


def test_alignment_of_one_layer() -> None:
    found = Translation("", 0.0, 0.0, ["</s>"], ["</s>"], torch.ones(1, 1, 2, 1))
    assert found.alignment().tolist() == [[1.0]]


# A given target


@pytest.mark.parametrize(("source", "target"), [("one two", "eins zwei"), ("nine", "neun neun"), ("six", "\0sechs")])
def test_a_forced_translation_is_teacher_forcing(translator: Translator, source: str, target: str) -> None:
    tokenizer = translator.tokenizer
    target_ids = tokenizer.encode_target([clean(target)])
    batch = make_batch(
        tokenizer.encode_source([source]),
        target_ids,
        pad_id=tokenizer.pad_id,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
    )
    with torch.no_grad():
        logits = translator.model(batch.source, batch.source_mask, batch.target_input)[0].double()
    expected = -torch.nn.functional.cross_entropy(logits, batch.target_output[0], reduction="sum")
    forced = translator.force(source, target)
    assert forced.log_probability == pytest.approx(float(expected), rel=1e-4)
    assert forced.text == tokenizer.decode_target(target_ids[0])
    assert forced.target_tokens == tokenizer.target_pieces([*target_ids[0], tokenizer.eos_id])
    matrix = forced.alignment()
    if matrix is not None:
        assert matrix.shape == (len(forced.target_tokens), len(forced.source_tokens))
        torch.testing.assert_close(matrix.sum(1), torch.ones(len(matrix)))
    else:
        assert isinstance(translator.model, models.LSTM)


def test_forcing_what_the_search_found_gives_its_log_probability(trained_run: Path) -> None:
    translator = Translator.load(trained_run, device="cpu")
    compared = 0
    lines = [f"{first} {second}" for first in SENTENCES for second in SENTENCES]
    for line, (found,) in zip(lines, translator.n_best(lines, n_best=1), strict=True):
        pieces = translator.tokenizer.encode_target([found.text])[0]
        if pieces and translator.tokenizer.target_pieces(pieces) == found.target_tokens[:-1]:
            forced = translator.force(line, found.text)
            assert forced.log_probability == pytest.approx(found.log_probability, rel=1e-4, abs=1e-4)
            compared += 1
    assert compared > 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("", "eins", "the source has no words"),
        ("one", " ", "the target has no words"),
        ("one", " ".join(["eins"] * 40), r"the target has \d+ pieces, the model takes 11"),
        (" ".join(["one"] * 40), "eins", r"the source has \d+ pieces, the model takes 11"),
    ],
)
def test_what_cannot_be_forced(transformer: Translator, source: str, target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transformer.force(source, target)


# Loading, devices


def test_load_takes_the_run_s_search_or_another(trained_run: Path) -> None:
    assert isinstance(Translator.load(trained_run, device="cpu").search, BeamSearch)
    greedy = GreedySearch(max_length_factor=1.5, max_length_margin=10)
    translator = Translator.load(str(trained_run), search=greedy, device="cpu")
    assert translator.search is greedy
    assert not translator.model.training
    assert len(translator.translate(["one two"])) == 1


def test_on_a_cpu_linear_weights_are_stored_by_columns(trained_run: Path) -> None:
    """As products with few rows read them fastest; an embedding stays stored by rows, the output layer's twin too."""
    model = Translator.load(trained_run, device="cpu").model
    saved = RunFolder.open(trained_run).model()
    linear = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    assert "vocabulary.output" in linear
    for name in linear:
        weight = model.get_submodule(name).weight
        assert weight.t().is_contiguous(), name
        assert torch.equal(weight, saved.get_submodule(name).weight), name
    assert model.vocabulary.target.weight.is_contiguous()
    assert model.vocabulary.source.weight.is_contiguous()


def test_scores_that_are_no_numbers_are_told(tokenizer: Tokenizer) -> None:
    translator = make_translator(tokenizer, "LuongLSTM")
    torch.nn.init.constant_(translator.model.get_parameter("vocabulary.output.weight"), float("nan"))
    with pytest.raises(ValueError, match="no translation was found: the model's scores are no finite numbers"):
        translator.translate(["one two"])


def test_load_says_what_is_wrong(tmp_path: Path, trained_run: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        Translator.load(tmp_path / "missing", device="cpu")
    with pytest.raises(ValueError, match="batch_tokens=0"):
        Translator.load(trained_run, device="cpu", batch_tokens=0)


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "mps", "tpu", "cuda:x", "meta"])
def test_an_unknown_device(name: str) -> None:
    with pytest.raises(ValueError, match=f"device={name} is unknown: use auto, cpu or cuda"):
        pick_device(name)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match="device=cuda:1 is not there: this machine has 1 CUDA devices; use cpu"):
        pick_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="device=cuda is not there"):
        pick_device("cuda")


@pytest.mark.parametrize("there", [False, True])
def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert pick_device("auto").type == ("cuda" if there else "cpu")
    assert pick_device("cpu").type == "cpu"
