"""Training on several corpora and in several directions, and translating with the tags of such a run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nmt.cli import main
from nmt.files import read_text
from nmt.run import RunFolder

Train = Callable[..., int]
RunWithStreams = Callable[..., tuple[int, bytes, str]]


def test_translate_adds_the_tag_and_text_does_not_select_one(
    two_way_run: Path, run_with_streams: RunWithStreams
) -> None:
    for words, tag in ([], "<2de>"), (["tag=2de"], "<2de>"), (["tag=2en"], "<2en>"):
        command = ["translate", f"run={two_way_run}", "format=jsonl", *words]
        code, output, error = run_with_streams(command, b"one two\n<2en> one\n\n")
        assert code == 0, error
        plain, with_text, empty = [json.loads(line)["source_tokens"] for line in output.splitlines()]
        assert plain[0] == with_text[0] == tag
        assert not {"<2de>", "<2en>"} & {*plain[1:], *with_text[1:]}
        assert empty == []


def test_an_unknown_tag_is_refused_with_a_list_of_the_known_ones(
    two_way_run: Path, lstm_run: Path, run_with_streams: RunWithStreams
) -> None:
    code, _, error = run_with_streams(["translate", f"run={two_way_run}", "tag=2fr"], b"one\n")
    assert (code, error) == (2, "nmt translate: tag=2fr: the tokenizer has no such tag; choose one of 2de, 2en\n")
    code, _, error = run_with_streams(["translate", f"run={two_way_run}", "tag="], b"one\n")
    assert (code, error) == (2, "nmt translate: tag= names no tag: name one, such as tag=2en, or leave tag out\n")
    code, _, error = run_with_streams(["translate", f"run={lstm_run}", "tag=2de"], b"one\n")
    assert (code, error) == (2, "nmt translate: tag=2de: the tokenizer has no such tag; there are none\n")


def test_a_run_in_both_directions_is_validated_and_evaluated_in_the_first(
    two_way_run: Path, corpus_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", f"run={two_way_run}", "split=val", "device=cpu"]) == 0
    evaluation = json.loads(read_text(two_way_run / "evaluation" / "val.json"))
    assert (evaluation["source"], evaluation["target"], evaluation["sentences"]) == ("en", "de", 16)
    assert evaluation["samples"][0]["source_tokens"][0] == "<2de>"
    assert read_text(two_way_run / "evaluation" / "val.source.txt") == read_text(corpus_folder / "val.en")
    # Another folder replaces that of the first part.
    capsys.readouterr()
    assert main(["evaluate", f"run={two_way_run}", "split=val", f"data.path={two_way_run}"]) == 2
    assert capsys.readouterr().err.startswith(f"nmt evaluate: {two_way_run} has no split val")


def test_folders_add_their_training_pairs(
    train: Train, corpus_folder: Path, own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_corpus / "train.en").write_text("nine nine nine\n")
    (own_corpus / "train.de").write_text("neun neun neun\n")
    others = f"extra_data=[{own_corpus},{corpus_folder}]"
    assert train(others, "hold_out=10", "validation_split=held_out") == 0
    error = capsys.readouterr().err
    assert "pairs of each part: 120 of data, 1 of extra_data[0], 120 of extra_data[1]\n" in error
    assert "held_out: 10 pairs, held out of train\n" in error
    corpus = RunFolder(tmp_path / "run").corpus()
    lines = [read_text(corpus_folder / f"train.{language}").splitlines() for language in ("en", "de")]
    left = [pair for pair in zip(*lines, strict=True) if pair[0] not in corpus.split("held_out")["source"][:]]
    cleaning = json.loads(read_text(tmp_path / "run" / "cleaning.json"))
    assert cleaning["pairs"] == 2 * len(left) + 1
    assert cleaning["kept"] == len({*left, ("nine nine nine", "neun neun neun")})
    assert cleaning["dropped"]["duplicate"] == cleaning["pairs"] - cleaning["kept"]
    assert corpus.split("test")["source"][:] == read_text(corpus_folder / "test.en").splitlines()
    config = yaml.safe_load(read_text(tmp_path / "run" / "config.yaml"))
    assert config["extra_data"] == [str(own_corpus), str(corpus_folder)]
    # A resumed run may find the same text elsewhere, but no other text.
    capsys.readouterr()
    words = ["hold_out=10", "validation_split=held_out", "resume=true", "trainer.max_steps=2"]
    assert train(f"extra_data=[{own_corpus},{own_corpus}]", *words) == 2
    assert "another corpus (" in capsys.readouterr().err
    moved = own_corpus.rename(tmp_path / "moved")
    assert train(f"extra_data=[{moved},{corpus_folder}]", *words) == 0


def test_a_part_in_the_direction_of_the_corpus_has_its_tag(train: Train, own_corpus: Path, tmp_path: Path) -> None:
    forms = [f"{own_corpus}", "{source: de, target: en, tag: 2en}", f"{{path: '{own_corpus}', tag: null}}", "{tag: bt}"]
    assert train("tag=2de", f"extra_data=[{','.join(forms)}]", "tokenizer.vocab_size=60") == 0
    arguments = RunFolder(tmp_path / "run").description("corpus")["arguments"]
    assert arguments["tags"] == ["2de", "2de", "2en", None, "bt"]
    languages = [tuple(part["arguments"][side] for side in ("source", "target")) for part in arguments["parts"]]
    assert languages == [("en", "de"), ("en", "de"), ("de", "en"), ("en", "de"), ("en", "de")]
    assert list(RunFolder(tmp_path / "run").tokenizer().tags) == ["2de", "2en", "bt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extra_data=[nowhere]"], "extra_data[0]: nowhere is not a folder: name one with text in en and de"),
        (["extra_data=2024"], "extra_data[0]: 2024 is not a folder: name one with text in en and de"),
        (
            ["extra_data=[{pth: x}]"],
            "extra_data[0]: FilesCorpus: got an unexpected keyword argument 'pth'; it takes path, source, target",
        ),
        (
            ["extra_data={tag: bt}"],
            "extra_data={tag: bt} is a group of keys without a list around it: extra_data=[{tag: bt}]",
        ),
        (["extra_data=[{source: de}]"], "extra_data[0]: data.source and data.target are both de: name two languages"),
        (["tag=<2de>"], "tag=<2de> must be a word of letters, digits, _ and -, such as 2de for the piece <2de>"),
        (["extra_data=[{tag: s}]"], "tag=s is reserved, since the tokenizer has a piece <s>: choose another name"),
    ],
)
def test_mistakes_are_explained_in_one_line(error_line: Callable[..., str], words: list[str], message: str) -> None:
    assert error_line(*words) == message
