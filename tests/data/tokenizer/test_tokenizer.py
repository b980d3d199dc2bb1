"""The tokenizer: training, encoding, decoding, odd texts and out-of-range settings."""

import io
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import hydra
import hydra.utils
import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.tokenizer import Ids, Tokenizer
from nmt.data.tokenizer.given_models import add_special_pieces, usable_type
from nmt.data.tokenizer.sentencepiece_model import UNK_SURFACE, special_ids
from nmt.data.tokenizer.training import train_tokenizer
from nmt.errors import UserError

CONF = Path(__file__).parents[3] / "conf"
RANDOM = random.Random(0)


def invent_sentences(syllables: str, end: str) -> list[str]:
    """Sentences of a hundred invented words: enough variety for a vocabulary, and the same on every machine."""
    words = ["".join(RANDOM.choices(syllables.split(), k=RANDOM.randint(1, 4))) for _ in range(100)]
    return [" ".join(RANDOM.choices(words, k=RANDOM.randint(3, 9))).capitalize() + end for _ in range(300)]


ENGLISH = invent_sentences("the ing ar wo man sh er dog ly ous tion re un ble gar den", ".")
GERMAN = invent_sentences("der sch ung ein ver lich keit mä nner trä gt häu ßen mal ge st", "!")
SHARED_CHARACTERS = sorted(set("".join(ENGLISH)) & set("".join(GERMAN)))
SETTINGS: dict[str, Any] = {
    "vocab_size": 160,
    "model_type": "unigram",
    "shared": True,
    "character_coverage": 1.0,
    "byte_fallback": False,
    "normalization": "compose",
}


def train(**settings: object) -> Tokenizer:
    return Tokenizer.train(ENGLISH, GERMAN, **(SETTINGS | settings))


KINDS: dict[str, dict[str, Any]] = {
    "unigram": {},
    "bpe": {"model_type": "bpe"},
    "separate": {"shared": False, "vocab_size": 110},
    "bytes": {"byte_fallback": True, "vocab_size": 420},
}


@cache
def train_once(kind: str) -> Tokenizer:
    return train(**KINDS[kind])


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_once(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_lines_give_the_same_model(kind: str) -> None:
    settings = KINDS[kind]
    once, again = (Tokenizer.train(iter(ENGLISH), iter(GERMAN), **(SETTINGS | settings)) for _ in range(2))
    assert once.fingerprint == again.fingerprint
    assert once.fingerprint != Tokenizer.train(ENGLISH, GERMAN[:-50], **(SETTINGS | settings)).fingerprint


def test_special_pieces_are_the_same_on_both_sides(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id]
    assert len(set(ids)) == 4
    assert tokenizer.source_pieces(ids) == tokenizer.target_pieces(ids) == ["<pad>", "<s>", "</s>", "<unk>"]


def test_vocabularies_have_the_requested_size() -> None:
    assert train_once("unigram").shared
    assert train_once("unigram").source_size == train_once("unigram").target_size == 160
    assert not train_once("separate").shared
    assert train_once("separate").source_size == train_once("separate").target_size == 110


def test_separate_models_know_only_their_own_side() -> None:
    tokenizer = train_once("separate")
    assert tokenizer.unk_id in tokenizer.encode_source(["Männer"])[0]
    assert tokenizer.unk_id not in tokenizer.encode_target(["Männer"])[0]
    assert train_once("unigram").encode_source(["Männer"]) == train_once("unigram").encode_target(["Männer"])


@given(text=st.text(alphabet=SHARED_CHARACTERS, max_size=40))
def test_decoding_returns_the_text_with_all_its_spaces(tokenizer: Tokenizer, text: str) -> None:
    (ids,) = tokenizer.encode_target([text])
    assert tokenizer.decode_target(ids) == (text if text.strip() else "")
    assert "".join(tokenizer.target_pieces(ids)) == (f"▁{text}".replace(" ", "▁") if text.strip() else "")


@given(texts=st.lists(st.text(max_size=20), max_size=5))
def test_a_batch_equals_its_texts_one_by_one(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tokenizer.encode_source(texts) == [tokenizer.encode_source([text])[0] for text in texts]
    assert tokenizer.encode_target(tuple(texts)) == [tokenizer.encode_target([text])[0] for text in texts]


@given(data=st.data())
def test_decoding_gives_one_line_without_special_pieces(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.target_size - 1), max_size=12))
    left_out = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    text = tokenizer.decode_target(ids)
    assert "\n" not in text
    assert "\r" not in text
    assert text == tokenizer.decode_target([id for id in ids if id not in left_out])
    assert not {"<pad>", "<s>", "</s>"} & set(re.findall(r"<[a-z/]*>", text))


SEPARATORS = [chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) > 1]


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_byte_pieces_cannot_break_the_line(separator: str) -> None:
    tokenizer = train_once("bytes")
    pieces = tokenizer.target_pieces(range(tokenizer.target_size))
    ids = [pieces.index(f"<0x{byte:02X}>") for byte in f"A{separator}{separator}B{separator}".encode()]
    assert tokenizer.decode_target(ids) == "A  B "


def test_an_unseen_character_is_unk_or_bytes() -> None:
    text = "Mal 😀 ein"
    (ids,) = train_once("unigram").encode_target([text])
    assert ids.count(train_once("unigram").unk_id) == 1
    assert train_once("unigram").decode_target(ids) == f"Mal {UNK_SURFACE} ein"
    (ids,) = train_once("bytes").encode_target([text])
    assert train_once("bytes").unk_id not in ids
    assert train_once("bytes").decode_target(ids) == text


def test_odd_texts_do_not_affect_their_neighbours(tokenizer: Tokenizer) -> None:
    odd = ["", " ", "\0", "\ud800", "a\u2028b\x85c", "\r\n", "x" * 10_000, "▅▁", "<s></s>"]
    plain = tokenizer.encode_source(["The old dog."])[0]
    for text in odd:
        batch = tokenizer.encode_source(["The old dog.", text, "The old dog."])
        assert batch[0] == batch[2] == plain
        assert len(batch) == 3
        assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(batch[1])
    assert tokenizer.encode_source(["", " "]) == [[], []]


def encode_best(encode: Callable[[list[str]], list[list[int]]], texts: list[str]) -> list[Ids]:
    return [np.array(ids, dtype=np.int32) for ids in encode(texts)]


def as_lists(sentences: list[Ids]) -> list[list[int]]:
    return [ids.tolist() for ids in sentences]


def test_each_side_samples_with_its_own_model() -> None:
    tokenizer = train_once("separate")
    sources, targets = encode_best(tokenizer.encode_source, GERMAN), encode_best(tokenizer.encode_target, GERMAN)
    seeds = np.arange(len(GERMAN), dtype=np.uint64)
    samples = as_lists(tokenizer.resample_target(targets, alpha=0.1, seeds=seeds))
    assert [tokenizer.decode_target(ids) for ids in samples] == GERMAN
    resampled = as_lists(tokenizer.resample_source(sources, alpha=0.1, seeds=seeds))
    assert ["".join(tokenizer.source_pieces(ids)) for ids in resampled] == [
        "".join(tokenizer.source_pieces(ids)) for ids in tokenizer.encode_source(GERMAN)
    ]
    assert as_lists(tokenizer.resample_target(targets, alpha=1000.0, seeds=seeds)) == tokenizer.encode_target(GERMAN)
    assert (
        as_lists(tokenizer.resample_target(targets, alpha=0.1, seeds=seeds)) == samples
    )  # each alpha its own distribution
    assert as_lists(tokenizer.resample_target(targets, alpha=0.2, seeds=seeds)) != samples


def test_each_sentence_needs_a_seed(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError):
        tokenizer.resample_source(
            encode_best(tokenizer.encode_source, ENGLISH[:3]), alpha=0.1, seeds=np.arange(2, dtype=np.uint64)
        )


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_vocabulary_size_is_an_upper_bound(model_type: str) -> None:
    """The pieces and their order are those of the largest exact size that SentencePiece accepts."""
    tokenizer = train(model_type=model_type, vocab_size=9999)
    exact = io.BytesIO()
    options: dict[str, Any] = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "minloglevel": 2, "num_threads": 16}
    options |= {"model_type": model_type, "character_coverage": 1.0, "max_sentence_length": 2**30}
    for size in (tokenizer.source_size, tokenizer.source_size + 1):
        arguments = options | {"sentence_iterator": iter(ENGLISH + GERMAN), "model_writer": exact, "vocab_size": size}
        if size > tokenizer.source_size:
            with pytest.raises(RuntimeError, match=f"Please set it to a value <= {tokenizer.source_size}"):
                sentencepiece.SentencePieceTrainer.train(**arguments)
        else:
            sentencepiece.SentencePieceTrainer.train(**arguments)
    processor = sentencepiece.SentencePieceProcessor(model_proto=exact.getvalue())
    assert processor.encode(ENGLISH[:20]) == tokenizer.encode_source(ENGLISH[:20])
    assert tokenizer.source_pieces([0, 1, 2, 3]) == ["<pad>", "<unk>", "<s>", "</s>"]


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
@pytest.mark.parametrize("num_lines", [1, 2, 20])
def test_a_tokenizer_of_few_lines_returns_them(model_type: str, num_lines: int) -> None:
    settings = SETTINGS | {"model_type": model_type, "vocab_size": 8000}
    tokenizer = Tokenizer.train(ENGLISH[:num_lines], GERMAN[:num_lines], **settings)
    assert [tokenizer.decode_target(ids) for ids in tokenizer.encode_target(GERMAN[:num_lines])] == GERMAN[:num_lines]


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_vocabulary_too_small_for_the_characters_is_refused(model_type: str) -> None:
    """An alphabet of 300 characters, "▁" and four special pieces."""
    lines = ["".join(map(chr, range(0x4E00, 0x4E00 + 300)))]
    settings = SETTINGS | {"model_type": model_type}
    with pytest.raises(
        UserError, match=r"^tokenizer.vocab_size=100 is too small .*it must be at least 305, or less with"
    ):
        Tokenizer.train(lines, [], **(settings | {"vocab_size": 100}))
    assert Tokenizer.train(lines, [], **(settings | {"vocab_size": 305})).source_size == 305


@pytest.mark.parametrize("lines", [[], [""], ["", "  ", "\x01\0"]])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_corpus_without_text_is_refused(lines: list[str], model_type: str) -> None:
    with pytest.raises(UserError, match="this corpus contains no text to train a tokenizer on"):
        Tokenizer.train(lines, [], **(SETTINGS | {"model_type": model_type}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", 0),
        ("vocab_size", -1),
        ("model_type", "word"),
        ("character_coverage", 0.5),
        ("character_coverage", 2),
        ("vocab_size", 160.5),
        ("character_coverage", "all"),
    ],
)
def test_settings_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^tokenizer\.{key}={value} "):
        train(**{key: value})


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_long_lines_and_lines_with_nul_are_trained_on(model_type: str) -> None:
    settings = SETTINGS | {"model_type": model_type, "vocab_size": 60}
    tokenizer = Tokenizer.train([*ENGLISH, "ж " * 10_000, "щ\0щ"], [], **settings)
    assert tokenizer.unk_id not in tokenizer.encode_source(["ж щ"])[0]
    assert not any("\0" in piece for piece in tokenizer.source_pieces(range(tokenizer.source_size)))


def test_training_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    train()
    assert capfd.readouterr() == ("", "")


def test_saved_and_pickled_tokenizers_are_equal(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    assert (tmp_path / "tokenizer.model").exists() == tokenizer.shared
    for copy in (Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert copy.fingerprint == tokenizer.fingerprint
        assert copy.shared == tokenizer.shared
        assert copy.encode_source(ENGLISH) == tokenizer.encode_source(ENGLISH)
        assert copy.encode_target(GERMAN) == tokenizer.encode_target(GERMAN)
        sources, seeds = encode_best(tokenizer.encode_source, ENGLISH[:9]), np.arange(9, dtype=np.uint64)
        resampled = [as_lists(each.resample_source(sources, alpha=0.1, seeds=seeds)) for each in (copy, tokenizer)]
        assert resampled[0] == resampled[1]


def test_a_model_without_the_special_pieces_is_refused() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENGLISH), model_writer=model, vocab_size=50, minloglevel=2
    )
    with pytest.raises(UserError, match="need pad, bos, eos and unk"):
        Tokenizer(source_model=model.getvalue(), target_model=None, model_type="unigram")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        Tokenizer(source_model=b"garbage", target_model=None, model_type="unigram")


@pytest.mark.parametrize(("choice", "kind"), [("unigram", "unigram"), ("bpe", "bpe")])
def test_the_configuration_trains_the_tokenizer(choice: str, kind: str) -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(overrides=[f"+tokenizer={choice}", "tokenizer.vocab_size=160"])
    split = datasets.Dataset.from_dict({"source": ENGLISH, "target": GERMAN})
    settings: dict[str, Any] = dict(config.tokenizer)
    tokenizer = train_tokenizer(split, **settings)
    assert tokenizer.fingerprint == train_once(kind).fingerprint


def test_the_tokenizer_imports_no_heavy_library() -> None:
    code = "import sys, nmt.data.tokenizer; print(sorted({'torch', 'datasets', 'pyarrow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("number", ["2024", "२०२४", "٢٠٢٤", "２０２४", "2٠२4", "𝟐𝟎𝟐𝟒"])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_symbols_and_digits_are_pieces_of_their_own_on_both_sides(model_type: str, number: str) -> None:
    lines = [*ENGLISH, *[f"the {number} dog <br> man", f"@user 48 {number}", f"the{number}ing"] * 20]
    settings = {**SETTINGS, "model_type": model_type, "user_defined_symbols": ["<br>", "@user"], "split_digits": True}
    tokenizer = Tokenizer.train(lines, GERMAN, **settings)
    for encode, name in (
        (tokenizer.encode_source, tokenizer.source_pieces),
        (tokenizer.encode_target, tokenizer.target_pieces),
    ):
        pieces = name(encode([f"@user the<br>ing {number}"])[0])
        assert [piece for piece in pieces if piece in ("<br>", "@user")] == ["@user", "<br>"]
        assert pieces[-5:] == ["▁", *number]
        learned = name(range(tokenizer.source_size))
        assert not any(len(piece) > 1 and set(piece) & set(number) for piece in learned)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (["a b"], "'a b' must have at least one character and no white space"),
        ([""], "'' must have at least one character and no white space"),
        (["<s>"], "'<s>' is a piece already: leave it out"),
        (["<2de>"], "'<2de>' is a piece already: leave it out"),
        (["x", "x"], "'x' is a piece already: leave it out"),
    ],
)
def test_a_symbol_that_cannot_be_a_piece_is_refused(symbols: list[str], message: str) -> None:
    with pytest.raises(UserError, match=f"^tokenizer.user_defined_symbols: {re.escape(message)}$"):
        train(user_defined_symbols=symbols, tags=["2de"])


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_a_model_of_another_program_gets_the_special_pieces_that_it_lacks(model_type: str) -> None:
    """The ids of its own pieces stay, and so does what they spell."""
    trained = train_elsewhere(ENGLISH, vocab_size=90, model_type=model_type, hard_vocab_limit=False)
    if model_type == "char":
        with pytest.raises(UserError, match=r"^its pieces are words or characters: only unigram and BPE models can be"):
            usable_type(trained)
        return
    original = sentencepiece.SentencePieceProcessor(model_proto=trained)
    assert (original.pad_id(), original.get_piece_size()) == (-1, 90)
    assert usable_type(trained) == model_type
    [model] = add_special_pieces([trained])
    tokenizer = Tokenizer(source_model=model, target_model=None, model_type=usable_type(trained))
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (90, 1, 2, 0)
    assert tokenizer.encode_source(ENGLISH) == original.encode(ENGLISH)
    assert tokenizer.decode_target(tokenizer.encode_target(ENGLISH[:1])[0]) == ENGLISH[0]
    assert add_special_pieces([model]) == [model]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (70, 1, 2, 0)),
        ({"pad_piece": "[PAD]"}, (70, 1, 2, 0)),
        ({"bos_id": -1, "bos_piece": "[CLS]", "eos_id": 1}, (70, 71, 1, 0)),
        ({"pad_id": 3}, (3, 1, 2, 0)),
    ],
)
def test_two_models_of_other_programs_get_special_pieces_with_the_same_ids(
    settings: dict[str, Any], expected: tuple[int, ...]
) -> None:
    models = train_elsewhere(ENGLISH, vocab_size=70, **settings), train_elsewhere(GERMAN, vocab_size=90, **settings)
    for source, target in (models, models[::-1]):
        completed = add_special_pieces([source, target])
        tokenizer = Tokenizer(source_model=completed[0], target_model=completed[1], model_type="unigram")
        for before, processor in zip((source, target), (tokenizer._source, tokenizer._target), strict=True):
            assert special_ids(processor) == expected
            original = sentencepiece.SentencePieceProcessor(model_proto=before)
            assert processor.encode(ENGLISH, out_type=str) == original.encode(ENGLISH, out_type=str)
            assert processor.get_piece_size() == original.get_piece_size() + sum(id >= 70 for id in expected)


def train_elsewhere(lines: list[str], **settings: Any) -> bytes:
    """Trains a model with SentencePiece's own defaults."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=trained, minloglevel=2, **settings
    )
    return trained.getvalue()
