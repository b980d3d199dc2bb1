"""Corpora of several parts, and tags before source lines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt import data
from nmt.data.cleaning import Cleaning
from nmt.data.corpus import Corpus, FilesCorpus
from nmt.data.digest import text_digest
from nmt.data.encoding import encode_corpus
from nmt.data.grammar import GrammarCorpus
from nmt.data.hold_out import HoldOutCorpus
from nmt.data.links import encode_links
from nmt.data.loader import BatchLoader
from nmt.data.mixed import MixedCorpus
from nmt.data.scenes.corpus import SceneCorpus
from nmt.data.tokenizer import Tokenizer
from nmt.data.words import NO_TEXT, assign_pieces
from nmt.errors import UserError
from nmt.run.registry import build, change_main_corpus, main_corpus

PAIRS = [(f"one {number}", f"eins {number}") for number in range(8)]


def write(folder: Path, **splits: list[tuple[str, str]]) -> FilesCorpus:
    folder.mkdir(parents=True)
    for split, pairs in splits.items():
        for side, language in enumerate(("en", "de")):
            (folder / f"{split}.{language}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return FilesCorpus(path=folder, source="en", target="de")


def mix(*parts: Corpus, tags: list[str | None] | None = None) -> MixedCorpus:
    return MixedCorpus(
        parts=parts,
        tags=tags or [None] * len(parts),
        weights=[1] * len(parts),
        temperature=None,
        train_split="train",
    )


def grammar(source: str, target: str) -> GrammarCorpus:
    return GrammarCorpus(source=source, target=target, seed=1, train_size=12, val_size=4, test_size=4, test_long_size=2)


def scenes() -> SceneCorpus:
    sizes = {"train_size": 12, "val_size": 4, "test_size": 4}
    return SceneCorpus(source="en", target="de", seed=1, picture=True, words=True, masked=0.5, **sizes)


def rows_of(corpus: Corpus, split: str) -> list[tuple[Any, ...]]:
    columns = corpus.split(split).to_dict()
    return list(zip(*columns.values(), strict=True))


def train_tokenizer(*, tags: list[str], byte_fallback: bool = False, model_type: str = "unigram") -> Tokenizer:
    words = ["one", "two", "three", "four", "five", "<2de>", "six"]
    lines = [" ".join([word, *"abcdefghij"[: len(word)]]) for word in words] * 4
    return Tokenizer.train(
        lines,
        lines,
        vocab_size=340 if byte_fallback else 60,
        model_type=model_type,  # type: ignore[arg-type]
        shared=True,
        character_coverage=1.0,
        byte_fallback=byte_fallback,
        normalization="compose",
        tags=tags,
    )


def test_training_pairs_of_all_parts_follow_each_other_and_other_splits_are_those_of_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a", train=PAIRS[:3], val=PAIRS[3:4], test=PAIRS[4:5])
    second = write(tmp_path / "b", train=PAIRS[5:7], val=PAIRS[7:])
    plain = mix(first, second)
    assert plain.splits() == ["train", "val", "test"]
    assert rows_of(plain, "train") == [*PAIRS[:3], *PAIRS[5:7]]
    assert rows_of(plain, "val") == PAIRS[3:4]
    tagged = mix(first, second, tags=[None, "bt"])
    assert rows_of(tagged, "train") == [(*pair, "") for pair in PAIRS[:3]] + [(*pair, "bt") for pair in PAIRS[5:7]]
    assert rows_of(tagged, "val") == [(*PAIRS[3], "")]


def test_links_stay_if_all_parts_have_links_between_the_same_words(tmp_path: Path) -> None:
    both = mix(grammar("en", "de"), grammar("de", "en"), tags=["2de", "2en"])
    expected = [pair for part in both.parts for pair in part.split("train")["alignment"]]
    assert both.split("train")["alignment"][:] == expected
    folder = tmp_path / "b"
    text = write(folder, train=[("one two .", "eins zwei .")])
    assert "alignment" not in mix(grammar("en", "de"), text).split("train").column_names
    # Its words are separated by spaces alone, those of the grammar also by punctuation.
    (folder / "train.en-de.align").write_text("0-0 1-1\n")
    assert "alignment" in text.split("train").column_names
    assert "alignment" not in mix(grammar("en", "de"), text).split("train").column_names


def test_links_of_a_tagged_pair_are_those_of_its_words() -> None:
    part = grammar("en", "de")
    tokenizer = Tokenizer.train(
        part.split("train")["source"],
        part.split("train")["target"],
        vocab_size=150,
        model_type="unigram",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
        tags=["2de"],
    )
    spans = []
    for corpus in (part, mix(part, tags=["2de"])):
        encoded = encode_corpus(corpus.split("train"), tokenizer, num_workers=1)
        linked = encode_links(
            encoded, tokenizer=tokenizer, split_words=part.words, complete=False, split_name="train", num_workers=1
        )
        spans.append([np.array(row).reshape(-1, 2, 2) for row in linked["link_spans"]])
    for plain, tagged in zip(*spans, strict=True):
        assert (tagged[:, 0] == plain[:, 0] + 1).all()  # in the source, the tag comes first and spells one character
        assert (tagged[:, 1] == plain[:, 1]).all()


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
@pytest.mark.parametrize("byte_fallback", [False, True])
def test_a_tag_is_one_piece_that_no_text_contains(model_type: str, byte_fallback: bool) -> None:
    tokenizer = train_tokenizer(tags=["2de", "2en"], byte_fallback=byte_fallback, model_type=model_type)
    tag_ids = [tokenizer.tags[tag] for tag in ("2de", "2en")]
    assert len({*tag_ids, 0, 1, 2, 3}) == 6
    text = "one <2de> two<2en>"
    [plain] = tokenizer.encode_source([text])
    assert not set(tag_ids) & set(plain)
    tagged = tokenizer.with_source_tag("2en")
    assert tagged.encode_source([text, " ", ""]) == [[tag_ids[1], *plain], [], []]
    assert tagged.encode_source([text, text], tags=["2de", ""]) == [[tag_ids[0], *plain], plain]
    assert tagged.encode_target([text]) == [plain]
    assert tagged.source_spans(text) == [NO_TEXT, *tokenizer.source_spans(text)]
    assert tagged.source_pieces([tag_ids[1], *plain], text=text) == [
        "<2en>",
        *tokenizer.source_pieces(plain, text=text),
    ]
    assert tagged.fingerprint != tokenizer.fingerprint
    # Other segmentations keep the tag, and have the same characters.
    ids = np.array([tag_ids[1], *plain], dtype=np.int32)
    seeds = np.arange(5, dtype=np.uint64)
    samples = tagged.resample_source([ids] * 5, alpha=0.5, seeds=seeds)
    lengths = tagged.piece_lengths()[0]
    assert {sample[0] for sample in samples} == {tag_ids[1]}
    assert {int(lengths[sample].sum()) for sample in samples} == {int(lengths[ids].sum())}


def test_a_saved_tokenizer_keeps_its_tag(tmp_path: Path) -> None:
    train_tokenizer(tags=["2de", "2en"]).with_source_tag("2de").save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.source_tag == "2de"
    assert list(loaded.tags) == ["2de", "2en"]
    with pytest.raises(UserError, match=r"^tag=2fr: the tokenizer has no such tag; choose one of 2de, 2en$"):
        loaded.with_source_tag("2fr")


def test_a_pair_is_encoded_with_the_tag_of_its_part(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(tags=["2de", "bt"]).with_source_tag("2de")
    first, second = write(tmp_path / "a", train=PAIRS[:1]), write(tmp_path / "b", train=PAIRS[1:2])
    encoded = encode_corpus(mix(first, second, tags=[None, "bt"]).split("train"), tokenizer, num_workers=1)
    plain = [tokenizer.encode_source([pair[0]], tags=[""])[0] for pair in PAIRS[:2]]
    assert encoded["source_ids"][:] == [plain[0], [tokenizer.tags["bt"], *plain[1]]]
    untagged = encode_corpus(first.split("train"), tokenizer, num_workers=1)
    assert untagged["source_ids"][:] == [[tokenizer.tags["2de"], *plain[0]]]


def test_a_piece_for_no_text_belongs_to_no_word() -> None:
    assert assign_pieces([NO_TEXT, (0, 3), (3, 5)], [(0, 5), (6, 8)]) == [[1, 2], []]


def test_a_pair_of_two_parts_is_a_duplicate_unless_their_tags_differ(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", train=PAIRS[:3]), write(tmp_path / "b", train=PAIRS[1:5])
    tokenizer = train_tokenizer(tags=["2de", "2en"])
    cleaning = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=True)
    cases: list[tuple[list[str | None], int]] = [([None, None], 2), (["2de", "2de"], 2), (["2de", "2en"], 0)]
    for tags, num_duplicates in cases:
        encoded = encode_corpus(mix(first, second, tags=tags).split("train"), tokenizer, num_workers=1)
        assert cleaning.apply(encoded, max_length=50).dropped["duplicate"] == num_duplicates


def test_a_tag_does_not_count_for_the_ratio_of_lengths(tmp_path: Path) -> None:
    """Whether the split has a column of tags, or all its sources get the tokenizer's own tag."""
    corpus = write(tmp_path / "a", train=[("one", "one " * 5), ("one " * 5, "one"), ("", "one"), ("one", "one " * 6)])
    tokenizer = train_tokenizer(tags=["2de"]).with_source_tag("2de")
    num_pieces = [len(ids) for ids in tokenizer.encode_target(["one", "one one one one one"])]
    cleaning = Cleaning(drop_empty=False, max_ratio=num_pieces[1] / num_pieces[0], drop_duplicates=False)
    for split in (corpus.split("train"), mix(corpus, tags=["2de"]).split("train")):
        encoded = encode_corpus(split, tokenizer, num_workers=1)
        assert encoded["source_ids"][0][0] == tokenizer.tags["2de"]
        loader = BatchLoader(
            encoded,
            tokenizer,
            cleaning=cleaning,
            max_length=100,
            batch_tokens=200,
            subword_alpha=0.0,
            seed=1,
            rank=0,
            num_ranks=1,
            pin_memory=False,
        )
        assert loader.kept.tolist() == [0, 1, 2]


def test_pairs_are_held_out_of_the_first_part_and_leave_all_parts(tmp_path: Path) -> None:
    first = write(tmp_path / "a", train=PAIRS)
    reversed_pairs = [(target, source) for source, target in PAIRS]
    second = write(tmp_path / "b", train=[*reversed_pairs, *((source, "copy") for source, _ in PAIRS), ("new", "neu")])
    corpus = HoldOutCorpus(
        corpus=mix(first, second, tags=["2de", "2en"]), train_split="train", split="val", num_pairs=3
    )
    held_out, kept = rows_of(corpus, "val"), rows_of(corpus, "train")
    assert {row[:2] for row in held_out} < set(PAIRS)
    assert {tag for _, _, tag in held_out} == {"2de"}
    left = [pair for pair in PAIRS if (*pair, "2de") not in held_out]
    others = [pair[::-1] for pair in left] + [(source, "copy") for source, _ in left] + [("new", "neu")]
    assert kept == [(*pair, "2de") for pair in left] + [(*pair, "2en") for pair in others]
    assert corpus.main is first


def test_a_held_out_target_leaves_the_other_parts_although_its_source_is_a_machine_translation(tmp_path: Path) -> None:
    first = write(tmp_path / "a", train=PAIRS)
    second = write(tmp_path / "b", train=[(f"machine {number}", target) for number, (_, target) in enumerate(PAIRS)])
    corpus = HoldOutCorpus(corpus=mix(first, second), train_split="train", split="val", num_pairs=3)
    held_out, kept = rows_of(corpus, "val"), rows_of(corpus, "train")
    assert len(held_out) == 3
    assert len(kept) == 2 * 5
    assert not {target for _, target in held_out} & {target for _, target in kept}


def test_the_description_in_a_run_folder_builds_the_same_corpus(tmp_path: Path) -> None:
    part = write(tmp_path / "a", train=PAIRS[:2])
    own = {"class": "FilesCorpus", "arguments": {"path": str(part.path), "source": "en", "target": "de"}}
    arguments = {
        "parts": [own, own],
        "tags": [None, "bt"],
        "weights": [1, 1],
        "temperature": None,
        "train_split": "train",
    }
    mixed = {"class": "MixedCorpus", "arguments": arguments}
    held_out = {
        "class": "HoldOutCorpus",
        "arguments": {"corpus": mixed, "train_split": "train", "split": "val", "num_pairs": 1},
    }
    assert main_corpus(held_out) == main_corpus(mixed) == main_corpus(own) == own
    assert rows_of(build(mixed, data), "train") == rows_of(mix(part, part, tags=[None, "bt"]), "train")
    damaged = {"class": "MixedCorpus", "arguments": {**arguments, "parts": [1, own]}}
    with pytest.raises(UserError, match="MixedCorpus cannot be built from these arguments: parts: "):
        build(damaged, data)


@pytest.mark.parametrize("inner", [grammar("en", "de"), scenes()], ids=["grammar", "scenes"])
def test_what_is_known_of_the_pairs_of_a_split_stays_known(inner: Corpus) -> None:
    """Unless the split has other pairs than before."""
    held_out = HoldOutCorpus(corpus=inner, train_split="train", split="held", num_pairs=4)
    last_split = inner.splits()[-1]  # pronouns, or test
    for corpus in (mix(inner, grammar("de", "en")), held_out):
        assert corpus.symbols == inner.symbols
        assert corpus.pronoun_examples(last_split) or corpus.caption_examples(last_split)
        for split in ("val", last_split):
            assert corpus.pronoun_examples(split) == inner.pronoun_examples(split)
            assert corpus.caption_examples(split) == inner.caption_examples(split)
        assert corpus.pronoun_examples("train") is None and corpus.caption_examples("train") is None
    assert held_out.pronoun_examples("held") is None and held_out.caption_examples("held") is None


def test_held_out_pairs_change_nothing_else_of_a_corpus() -> None:
    """A wrapper that forgets a part of the contract answers with its default."""
    contract = {name for name in vars(Corpus) if not name.startswith("_")}
    assert contract <= vars(HoldOutCorpus).keys()


def test_a_mixed_corpus_answers_for_its_parts() -> None:
    """Only what is the same for all parts comes from the class: text without translations cannot be a part."""
    contract = {name for name in vars(Corpus) if not name.startswith("_")}
    assert contract - vars(MixedCorpus).keys() == {"languages", "is_translated"}


def test_pictures_are_in_the_first_part_or_in_none() -> None:
    with pytest.raises(UserError, match=r"the first part of a mixed corpus has no pictures, but another one has: put"):
        mix(grammar("en", "de"), scenes())


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("<2de>", "tag=<2de> must be a word of letters, digits, _ and -, such as 2de for the piece <2de>"),
        ("2 de", "tag=2 de must be a word"),
        ("unk", "tag=unk is reserved, since the tokenizer has a piece <unk>: choose another name"),
        ("0x4A", "tag=0x4A is reserved"),
    ],
)
def test_a_tag_that_is_no_word_is_refused(tag: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        mix(grammar("en", "de"), tags=[tag])


def weigh(folder: Path, *sizes: int, **changes: Any) -> MixedCorpus:
    parts = [write(folder / f"{index}", train=PAIRS[:size]) for index, size in enumerate(sizes)]
    arguments: dict[str, Any] = {"tags": [None] * len(sizes), "weights": [1] * len(sizes), "temperature": None}
    return MixedCorpus(parts=parts, **(arguments | changes), train_split="train")


def test_parts_have_weights_or_a_temperature_chooses_them(tmp_path: Path) -> None:
    assert "weight" not in weigh(tmp_path / "a", 3, 2).split("train").column_names
    given = weigh(tmp_path / "b", 2, 1, weights=[1, 2.5])
    assert rows_of(given, "train") == [(*PAIRS[0], 1.0), (*PAIRS[1], 1.0), (*PAIRS[0], 2.5)]
    # n^(1/T) with T = 2: the shares of 8 and 2 pairs are as √8 : √2 = 2 : 1, as with 8 · 1 and 2 · 2 pairs.
    assert weigh(tmp_path / "c", 8, 2, temperature=2).weights == pytest.approx([1, 2])
    assert weigh(tmp_path / "d", 8, 2, temperature=1).weights == [1, 1]
    # Another weight is other text, so a run cannot be resumed with it.
    assert text_digest(given.split("train")) != text_digest(weigh(tmp_path / "e", 2, 1).split("train"))


def test_a_weight_makes_no_duplicates(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(tags=[])
    encoded = encode_corpus(weigh(tmp_path, 4, 2, weights=[3, 1]).split("train"), tokenizer, num_workers=1)
    report = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=True).apply(encoded, max_length=50)
    assert (report.num_pairs, report.dropped["duplicate"]) == (6, 2)  # those that both parts have


@pytest.mark.parametrize("changes", [{"temperature": True}, {"temperature": "2"}, {"weights": [True]}])
def test_weights_and_temperature_are_numbers(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a number"):
        weigh(tmp_path, 2, **changes)


def test_another_direction_of_a_mixed_corpus_has_its_part_and_its_tag(tmp_path: Path) -> None:
    folder = str(write(tmp_path / "a", train=PAIRS[:2], val=PAIRS[2:3]).path)
    parts = [
        {"class": "FilesCorpus", "arguments": {"path": folder, "source": source, "target": target}}
        for source, target in (("en", "de"), ("de", "en"))
    ]
    others: dict[str, Any] = {"temperature": None, "train_split": "train"}
    arguments = {"parts": parts, "tags": ["2de", "2en"], "weights": [1, 2], **others}
    mixed = {"class": "MixedCorpus", "arguments": arguments}
    assert change_main_corpus(mixed, {}) == mixed
    turned = change_main_corpus(mixed, {"source": "de", "target": "en"})
    assert turned["arguments"] == {"parts": parts[::-1], "tags": ["2en", "2de"], "weights": [2, 1], **others}
    assert rows_of(build(turned, data), "val") == [(PAIRS[2][1], PAIRS[2][0], "2en")]
    # A direction that was not trained has the tag of its target language; the pairs that are held out are in the first.
    new = change_main_corpus(mixed, {"source": "fr", "target": "en"})
    assert main_corpus(new)["arguments"] == {"path": folder, "source": "fr", "target": "en"}
    assert new["arguments"]["tags"] == ["2en", "2en"]
    arguments = {"corpus": mixed, "train_split": "train", "split": "val", "num_pairs": 1}
    held_out = {"class": "HoldOutCorpus", "arguments": arguments}
    assert change_main_corpus(held_out, {"path": "b"})["class"] == "HoldOutCorpus"
    assert change_main_corpus(held_out, {"source": "de", "target": "en"}) == turned
