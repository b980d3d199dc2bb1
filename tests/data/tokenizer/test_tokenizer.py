import hashlib
import io
import json
import pickle
import random
import re
import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path

import datasets
import hydra
import msgspec
import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from nmt.cli.shell.settings import Component, typed
from nmt.cli.training.preparation import train_tokenizer
from nmt.data.tokenizer import Tokenizer

CONF = Path(__file__).parents[2] / "conf"
DRAW = random.Random(0)


def invented(syllables: str, end: str) -> list[str]:
    """Sentences of a hundred invented words: enough variety for a vocabulary, and the same on every machine."""
    words = ["".join(DRAW.choices(syllables.split(), k=DRAW.randint(1, 4))) for _ in range(100)]
    return [" ".join(DRAW.choices(words, k=DRAW.randint(3, 9))).capitalize() + end for _ in range(300)]


ENGLISH = invented("the ing ar wo man sh er dog ly ous tion re un ble gar den", ".")
GERMAN = invented("der sch ung ein ver lich keit mä nner trä gt häu ßen mal ge st", "!")
CHARACTERS = sorted(set("".join(ENGLISH)) & set("".join(GERMAN)))
SETTINGS = {
    "vocab_size": 160,
    "model_type": "unigram",
    "shared": True,
    "character_coverage": 1.0,
    "byte_fallback": False,
}


def train(**settings: object) -> Tokenizer:
    return Tokenizer.train(ENGLISH, GERMAN, **(SETTINGS | settings))


KINDS = {
    "unigram": {},
    "bpe": {"model_type": "bpe"},
    "separate": {"shared": False, "vocab_size": 110},
    "bytes": {"byte_fallback": True, "vocab_size": 420},
}


@cache
def made(kind: str) -> Tokenizer:
    return train(**KINDS[kind])


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return made(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_lines_give_the_same_model(kind):
    settings = KINDS[kind]
    once, again = (Tokenizer.train(iter(ENGLISH), iter(GERMAN), **(SETTINGS | settings)) for _ in range(2))
    assert once.fingerprint == again.fingerprint
    assert once.fingerprint != Tokenizer.train(ENGLISH, GERMAN[:-50], **(SETTINGS | settings)).fingerprint


def test_special_pieces(tokenizer):
    ids = [tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id]
    assert len(set(ids)) == 4
    assert tokenizer.source_pieces(ids) == tokenizer.target_pieces(ids) == ["<pad>", "<s>", "</s>", "<unk>"]


def test_sizes():
    assert made("unigram").shared
    assert made("unigram").source_size == made("unigram").target_size == 160
    assert not made("separate").shared
    assert made("separate").source_size == made("separate").target_size == 110


def test_separate_sides_know_only_their_own_text():
    tokenizer = made("separate")
    assert tokenizer.unk_id in tokenizer.encode_source(["Männer"])[0]
    assert tokenizer.unk_id not in tokenizer.encode_target(["Männer"])[0]
    assert made("unigram").encode_source(["Männer"]) == made("unigram").encode_target(["Männer"])


@given(text=st.text(alphabet=CHARACTERS, max_size=40))
def test_text_comes_back_but_for_white_space(tokenizer, text):
    (ids,) = tokenizer.encode_target([text])
    assert tokenizer.decode_target(ids) == " ".join(text.split())
    assert "".join(tokenizer.target_pieces(ids)).replace("▁", " ").split() == text.split()


def test_text_is_normalized():
    text = "trägt\tzwei  kleine ﬁ…"
    tokenizer = made("bytes")
    expected = " ".join(unicodedata.normalize("NFKC", text).split())
    assert tokenizer.decode_target(tokenizer.encode_target([text])[0]) == expected == "trägt zwei kleine fi..."


@given(texts=st.lists(st.text(max_size=20), max_size=5))
def test_a_batch_is_its_texts_one_by_one(tokenizer, texts):
    assert tokenizer.encode_source(texts) == [tokenizer.encode_source([text])[0] for text in texts]
    assert tokenizer.encode_target(tuple(texts)) == [tokenizer.encode_target([text])[0] for text in texts]


@given(data=st.data())
def test_decoding_gives_one_line_and_leaves_special_pieces_out(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.target_size - 1), max_size=12))
    silent = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    text = tokenizer.decode_target(ids)
    assert "\n" not in text
    assert "\r" not in text
    assert text == tokenizer.decode_target([id for id in ids if id not in silent])
    assert not {"<pad>", "<s>", "</s>"} & set(re.findall(r"<[a-z/]*>", text))


SEPARATORS = [chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) > 1]


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_byte_pieces_cannot_break_the_line(separator):
    tokenizer = made("bytes")
    pieces = tokenizer.target_pieces(range(tokenizer.target_size))
    ids = [pieces.index(f"<0x{byte:02X}>") for byte in f"A{separator}{separator}B{separator}".encode()]
    assert tokenizer.decode_target(ids) == "A  B "


def test_an_unseen_character_is_unk_or_bytes():
    text = "Mal 😀 ein"
    (ids,) = made("unigram").encode_target([text])
    assert ids.count(made("unigram").unk_id) == 1
    assert made("unigram").decode_target(ids) == "Mal ⁇ ein"
    (ids,) = made("bytes").encode_target([text])
    assert made("bytes").unk_id not in ids
    assert made("bytes").decode_target(ids) == text


def test_strange_texts_do_not_disturb_their_neighbours(tokenizer):
    strange = ["", " ", "\0", "\ud800", "a\u2028b\x85c", "\r\n", "x" * 10_000, "▅▁", "<s></s>"]
    plain = tokenizer.encode_source(["The old dog."])[0]
    for text in strange:
        batch = tokenizer.encode_source(["The old dog.", text, "The old dog."])
        assert batch[0] == batch[2] == plain
        assert len(batch) == 3
        assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(batch[1])
    assert tokenizer.encode_source(["", " "]) == [[], []]


def best(encode, texts):
    return [np.array(ids, dtype=np.int32) for ids in encode(texts)]


def listed(drawn):
    return [ids.tolist() for ids in drawn]


def test_each_side_draws_with_its_own_model():
    tokenizer = made("separate")
    sources, targets = best(tokenizer.encode_source, GERMAN), best(tokenizer.encode_target, GERMAN)
    seeds = np.arange(len(GERMAN), dtype=np.uint64)
    samples = listed(tokenizer.redraw_target(targets, alpha=0.1, seeds=seeds))
    assert [tokenizer.decode_target(ids) for ids in samples] == GERMAN
    drawn = listed(tokenizer.redraw_source(sources, alpha=0.1, seeds=seeds))
    assert ["".join(tokenizer.source_pieces(ids)) for ids in drawn] == [
        "".join(tokenizer.source_pieces(ids)) for ids in tokenizer.encode_source(GERMAN)
    ]
    assert listed(tokenizer.redraw_target(targets, alpha=1000.0, seeds=seeds)) == tokenizer.encode_target(GERMAN)
    assert (
        listed(tokenizer.redraw_target(targets, alpha=0.1, seeds=seeds)) == samples
    )  # each alpha its own distribution
    assert listed(tokenizer.redraw_target(targets, alpha=0.2, seeds=seeds)) != samples


def test_sentences_and_seeds_go_together(tokenizer):
    with pytest.raises(ValueError):
        tokenizer.redraw_source(
            best(tokenizer.encode_source, ENGLISH[:3]), alpha=0.1, seeds=np.arange(2, dtype=np.uint64)
        )


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_sizes_that_messages_name_are_exact(model_type):
    with pytest.raises(
        ValueError, match=r"^tokenizer.vocab_size=9999 is more than this corpus allows: at most \d+$"
    ) as most:
        train(model_type=model_type, vocab_size=9999)
    with pytest.raises(ValueError, match=r"^tokenizer.vocab_size=5 is too small .*this corpus: at least \d+$") as least:
        train(model_type=model_type, vocab_size=5)
    for error, step in ((most, 1), (least, -1)):
        size = int(str(error.value).split()[-1])
        assert train(model_type=model_type, vocab_size=size).target_size == size
        with pytest.raises(ValueError, match="vocab_size"):
            train(model_type=model_type, vocab_size=size + step)


def test_the_message_names_the_side():
    with pytest.raises(ValueError, match="than the target side of this corpus allows: at most"):
        Tokenizer.train(ENGLISH, ["a b"], **(SETTINGS | {"shared": False, "vocab_size": 60}))


@pytest.mark.parametrize("lines", [[], [""], ["", "  ", "\x01\0"]])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_no_text(lines, model_type):
    with pytest.raises(ValueError, match="this corpus holds no text to train a tokenizer on"):
        Tokenizer.train(lines, [], **(SETTINGS | {"model_type": model_type}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", 0),
        ("vocab_size", -1),
        ("model_type", "word"),
        ("character_coverage", 0.5),
        ("character_coverage", 2),
    ],
)
def test_values_out_of_range(key, value):
    with pytest.raises(ValueError, match=rf"^tokenizer\.{key}={value} "):
        train(**{key: value})


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_long_lines_and_lines_with_nul_are_learned_from(model_type):
    settings = SETTINGS | {"model_type": model_type, "vocab_size": 60}
    tokenizer = Tokenizer.train([*ENGLISH, "ж " * 10_000, "щ\0щ"], [], **settings)
    assert tokenizer.unk_id not in tokenizer.encode_source(["ж щ"])[0]
    assert not any("\0" in piece for piece in tokenizer.source_pieces(range(tokenizer.source_size)))


def test_training_says_nothing(capfd):
    train()
    assert capfd.readouterr() == ("", "")


def test_saved_and_pickled_tokenizers_are_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert (tmp_path / "tokenizer.model").exists() == tokenizer.shared
    for copy in (Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert copy.fingerprint == tokenizer.fingerprint
        assert copy.shared == tokenizer.shared
        assert copy.encode_source(ENGLISH) == tokenizer.encode_source(ENGLISH)
        assert copy.encode_target(GERMAN) == tokenizer.encode_target(GERMAN)
        sources, seeds = best(tokenizer.encode_source, ENGLISH[:9]), np.arange(9, dtype=np.uint64)
        drawn = [listed(each.redraw_source(sources, alpha=0.1, seeds=seeds)) for each in (copy, tokenizer)]
        assert drawn[0] == drawn[1]


def edit(name, **changes):
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def cut(name, keep):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


DAMAGES = {
    "no description": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
    "cut description": (cut("tokenizer.json", 50), "tokenizer.json"),
    "not utf-8": (lambda folder: (folder / "tokenizer.json").write_bytes(b"\xff\xfe{}"), "tokenizer.json"),
    "a list": (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer.json"),
    "an empty object": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json"),
    "newer": (edit("tokenizer.json", format=2), "tokenizer.json"),
    "odd files": (edit("tokenizer.json", files=["source.model"]), "tokenizer.json"),
    "odd sizes": (edit("tokenizer.json", sizes={"source": "110", "target": 110}), "tokenizer.json"),
    "other sizes": (edit("tokenizer.json", sizes={"source": 110, "target": 111}), "tokenizer.json"),
    "odd shared": (edit("tokenizer.json", shared="no"), "tokenizer.json"),
    "odd type": (edit("tokenizer.json", model_type="word"), "tokenizer.json"),
    "no model": (lambda folder: (folder / "target.model").unlink(), "target.model"),
    "cut model": (cut("target.model", 1000), "target.model"),
    "empty model": (cut("source.model", 0), "source.model"),
    "swapped": (edit("tokenizer.json", files={"source": "target.model", "target": "source.model"}), "target.model"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_folders_are_named_in_one_line(damage, named, tmp_path):
    made("separate").save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / named))) as error:
        Tokenizer.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["../source.model", "/source.model", "..", ".", "", "a/b", "a\\b", "source.model\0", ".x"]
)
def test_only_plain_names_are_opened(name, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    made("separate").save(run)
    made("separate").save(tmp_path)
    edit("tokenizer.json", files={"source": name, "target": "target.model"})(run)
    with pytest.raises(ValueError, match="only plain names"):
        Tokenizer.load(run)


def test_pieces_that_are_no_text(tmp_path):
    """The library takes such a model, and fails only when somebody looks at the piece."""
    made("unigram").save(tmp_path)
    model = (tmp_path / "tokenizer.model").read_bytes()
    place = model.index("▁".encode())
    model = model[:place] + b"\xff" + model[place + 1 :]
    (tmp_path / "tokenizer.model").write_bytes(model)
    checksum = hashlib.sha256(model).hexdigest()
    edit("tokenizer.json", sha256={"source": checksum, "target": checksum})(tmp_path)
    with pytest.raises(ValueError, match=r"tokenizer\.json names models that cannot be used"):
        Tokenizer.load(tmp_path)


def test_a_model_without_our_special_pieces():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENGLISH), model_writer=model, vocab_size=50, minloglevel=2
    )
    with pytest.raises(ValueError, match="need pad, bos, eos and unk"):
        Tokenizer(source_model=model.getvalue(), target_model=None, model_type="unigram")
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        Tokenizer(source_model=b"garbage", target_model=None, model_type="unigram")


class OnlyTokenizer(msgspec.Struct):
    tokenizer: Component


@pytest.mark.parametrize(("choice", "kind"), [("unigram", "unigram"), ("bpe", "bpe")])
def test_the_configuration_trains_the_tokenizer(choice, kind):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(overrides=[f"+tokenizer={choice}", "tokenizer.vocab_size=160"])
    split = datasets.Dataset.from_dict({"source": ENGLISH, "target": GERMAN})
    component = typed(config, OnlyTokenizer).tokenizer
    assert train_tokenizer(component, split).fingerprint == made(kind).fingerprint


def test_translating_does_not_pay_for_heavy_imports():
    code = "import sys, nmt.data.tokenizer; print(sorted({'torch', 'datasets', 'pyarrow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
