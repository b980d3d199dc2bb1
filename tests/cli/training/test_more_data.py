"""Training on several corpora and in several directions, and translating with the tags of such a run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from nmt.cli import main
from nmt.files import read_text
from nmt.run import RunFolder
from nmt.run.weights import read_weights

Train = Callable[..., int]
RunWithStreams = Callable[..., tuple[int, bytes, str]]


def test_translate_adds_the_tag_and_text_does_not_select_one(
    two_way_run: Path, run_with_streams: RunWithStreams
) -> None:
    for words, tag in ([], "<2de>"), (["to=de"], "<2de>"), (["to=en"], "<2en>"), (["to=2en"], "<2en>"):
        command = ["translate", f"run={two_way_run}", "format=jsonl", *words]
        code, output, error = run_with_streams(command, b"one two\n<2en> one\n\n")
        assert code == 0, error
        plain, with_text, empty = [json.loads(line)["source_tokens"] for line in output.splitlines()]
        assert plain[0] == with_text[0] == tag
        assert not {"<2de>", "<2en>"} & {*plain[1:], *with_text[1:]}
        assert empty == []


def test_an_unknown_language_is_refused_with_a_list_of_the_known_ones(
    two_way_run: Path, lstm_run: Path, run_with_streams: RunWithStreams
) -> None:
    code, _, error = run_with_streams(["translate", f"run={two_way_run}", "to=fr"], b"one\n")
    assert (code, error) == (2, "nmt translate: to=fr: the run has no such language; choose one of de, en\n")
    code, _, error = run_with_streams(["translate", f"run={lstm_run}", "to=de"], b"one\n")
    assert (code, error) == (
        2,
        "nmt translate: to=de: the run was trained in one direction, without tags: leave to out\n",
    )


def test_a_run_in_both_directions_is_evaluated_in_each(
    two_way_run: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(two_way_run, tmp_path / "run")
    assert main(["evaluate", f"run={run}", "split=val", "device=cpu"]) == 0
    printed = capsys.readouterr().out.splitlines()
    rows = {words[0]: words[1:] for line in printed if (words := line.split())}
    for direction, folder, (source, target), tag in (
        ("en-de", run / "evaluation", ("en", "de"), "<2de>"),
        ("de-en", run / "evaluation" / "de-en", ("de", "en"), "<2en>"),
    ):
        evaluation = json.loads(read_text(folder / "val.json"))
        assert (evaluation["source"], evaluation["target"], evaluation["sentences"]) == (source, target, 16)
        assert evaluation["samples"][0]["source_tokens"][0] == tag
        assert read_text(folder / "val.source.txt") == read_text(corpus_folder / f"val.{source}")
        assert rows[direction][:2] == ["16", f"{evaluation['metrics']['bleu']['score']:.2f}"]
    # One direction alone, and another folder, which has no such split.
    assert main(["evaluate", f"run={run}", "split=val", "device=cpu", "data.source=de", "data.target=en"]) == 0
    assert f"{run / 'evaluation' / 'de-en' / 'val.json'} was written" in capsys.readouterr().err
    assert main(["evaluate", f"run={run}", "split=val", f"data.path={two_way_run}"]) == 2
    assert capsys.readouterr().err.startswith(f"nmt evaluate: {two_way_run} has no split val")
    # Other text in the second direction has its tag, too, and `compare` finds its evaluation.
    other = ["data=files", f"data.path={corpus_folder}", "data.source=de", "data.target=en", "device=cpu"]
    assert main(["compare", f"runs=[{run}]", "split=test", *other, f"out={tmp_path / 'report'}"]) == 0
    evaluation = json.loads(read_text(run / "evaluation" / "de-en" / "test.json"))
    assert evaluation["samples"][0]["source_tokens"][0] == "<2en>"
    assert not (run / "evaluation" / "test.json").exists()


def test_folders_add_their_training_pairs(
    train: Train, corpus_folder: Path, own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_corpus / "train.en").write_text("nine nine nine\n")
    (own_corpus / "train.de").write_text("neun neun neun\n")
    words = ["hold_out=10", "validation_split=held_out"]
    assert train("data=mix", f"data.parts=[{corpus_folder},{own_corpus},{corpus_folder}]", *words) == 0
    error = capsys.readouterr().err
    assert "pairs of each part: 120 en-de; 1 en-de; 120 en-de\n" in error
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
    assert config["data"]["parts"] == [str(corpus_folder), str(own_corpus), str(corpus_folder)]
    # A resumed run may find the same text elsewhere, but no other text.
    capsys.readouterr()
    words += ["data=mix", "resume=true", "trainer.max_steps=2"]
    assert train(f"data.parts=[{corpus_folder},{own_corpus},{own_corpus}]", *words) == 2
    assert "another corpus (" in capsys.readouterr().err
    moved = own_corpus.rename(tmp_path / "moved")
    assert train(f"data.parts=[{corpus_folder},{moved},{corpus_folder}]", *words) == 0


def test_parts_have_weights_and_tags(train: Train, own_corpus: Path, tmp_path: Path) -> None:
    forms = ["{weight: 2}", "{languages: [en, de], weight: 0.5}", f"{{path: '{own_corpus}', tag: null}}", "{tag: bt}"]
    forms += ["{data: grammar, train_size: 30}"]
    assert train("data=mix", f"data.parts=[{','.join(forms)}]", "tokenizer.vocab_size=70") == 0
    run = RunFolder(tmp_path / "run")
    arguments = run.description("corpus")["arguments"]
    assert arguments["tags"] == ["2de", "2de", "2en", None, "bt", "2de"]
    assert arguments["weights"] == [2, 0.5, 0.5, 1, 1, 1]
    languages = [tuple(part["arguments"][side] for side in ("source", "target")) for part in arguments["parts"]]
    assert languages == [("en", "de"), ("en", "de"), ("de", "en"), ("en", "de"), ("en", "de"), ("en", "de")]
    assert arguments["parts"][5]["arguments"]["train_size"] == 30
    assert list(run.tokenizer().tags) == ["2de", "2en", "bt"]


def test_a_run_with_weights_is_resumed_exactly(
    train: Train, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mix = ["data=mix", f"data.parts=[{{path: '{corpus_folder}', weight: 1.5}}]", "loader.subword_alpha=0.5"]
    assert train(*mix, "trainer.max_steps=8", f"run={tmp_path / 'whole'}") == 0
    assert train(*mix, "trainer.max_steps=5") == 0
    assert train(*mix, "trainer.max_steps=8", "resume=true") == 0
    whole, resumed = (read_weights(RunFolder(tmp_path / name).best) for name in ("whole", "run"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    capsys.readouterr()
    other = mix[1].replace("1.5", "2.5")
    assert train("data=mix", other, mix[2], "trainer.max_steps=9", "resume=true") == 2
    assert "another corpus (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.parts=[nowhere]"], "data.parts: nowhere is not a folder: name one with text in en and de"),
        (["data.parts=2024"], "data.parts: 2024 is not a folder: name one with text in en and de"),
        (["data.parts=[]"], "data.parts must be a list of corpora, such as [my-text,synthetic]"),
        (["data.parts=[{pth: x}]"], "data.parts[0].pth: no such key with data=files; did you mean path?"),
        (
            ["data.parts=[{data: grammer}]"],
            "data.parts[0]: data=grammer: no such choice; the choices are files, grammar, grammar_documents, hub, "
            "multi30k, scenes",
        ),
        (
            ["data.parts=[{data: text}]"],
            "data.parts[0]: data=text cannot be a part: it has no translations; pre-train on it with objective=… and "
            "start from that run with init=RUN",
        ),
        (
            ["data.parts={tag: bt}"],
            "data.parts={tag: bt} is a group of keys without a list around it: data.parts=[{tag: bt}]",
        ),
        (["data.parts=[{source: de}]"], "data.parts[0]: data.source and data.target are both de: name two languages"),
        (
            ["data.parts=[{languages: [en]}]"],
            "data.parts[0].languages=['en'] must name two or more different languages, such as [en,de,fr]",
        ),
        (
            ["data.parts=[{languages: [en, de], source: en}]"],
            "data.parts[0]: languages stands for all directions between them, so leave source and target out",
        ),
        (
            ["data.parts=[{languages: [en, de], tag: x}]"],
            "data.parts[0].tag=x: languages gives each direction a tag of its own, so leave tag out",
        ),
        (["data.parts=[{tag: s}]"], "data.tag=s is reserved, since the tokenizer has a piece <s>: choose another name"),
        (["data.parts=[{weight: 0}]"], "data.weight=0 must be a number above 0, at most 1000"),
        (["data.parts=[{weight: x}]"], "data.parts[0].weight=x must be a number"),
        (
            ["data.parts=[{}]", "data.temperature=0.5"],
            "data.temperature=0.5 must be a number of at least 1, or null for the parts' weights",
        ),
        (
            ["data.parts=[{weight: 2}]", "data.temperature=5"],
            "data.temperature=5 gives all parts their weights: leave it out, or weight=…",
        ),
        (["data.parts=[{}]", "data.tags=2de"], "data.tags=2de must be true, false or auto"),
    ],
)
def test_mistakes_are_explained_in_one_line(error_line: Callable[..., str], words: list[str], message: str) -> None:
    assert error_line("data=mix", *words) == message
