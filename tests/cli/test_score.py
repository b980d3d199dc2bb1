"""`nmt score` through the real entry point: scores of given translations, and n-best lists in a new order."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nmt.cli import main
from nmt.cli.score import rank
from nmt.run import open_run
from nmt.translator import Translator
from nmt.translator.scoring import score_pairs

SOURCE = ["one two three", "", "  four   five ", "six", "nine\u2028one"]
TARGET = ["eins zwei drei", "", "vier fünf", "acht", "neun eins"]

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The arguments source= and target= for two files."""
    for name, lines in (("source", SOURCE), ("target", TARGET)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return [f"source={tmp_path / 'source'}", f"target={tmp_path / 'target'}"]


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Makes a text the standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_every_pair_gives_one_line_in_order(
    trained_run: Path, files: list[str], capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["score", f"run={trained_run}", files[0], "device=cpu", "batch_size=2"]
    assert main([*arguments, files[1]]) == 0
    printed = capsys.readouterr()
    scored = score_pairs(Translator.load(trained_run, device="cpu"), list(zip(SOURCE, TARGET, strict=True)))
    expected = [each.log_probability for each in scored]
    assert [float(line) for line in printed.out.split("\n")[:-1]] == pytest.approx(expected, abs=1e-4)
    num_pieces, num_words = sum(len(each.target_tokens) for each in scored), 8 + 4  # 8 words, 4 lines that end
    assert printed.err.startswith(f"nmt score: 5 pairs, log-probability {sum(expected):,.2f}: perplexity ")
    assert f"per piece ({num_pieces}), " in printed.err and printed.err.endswith(f"per word ({num_words})\n")

    type_in(monkeypatch, "\n".join(TARGET))
    assert main([*arguments, "target=-", "format=jsonl", "length_penalty=1"]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]
    assert [value["log_probability"] for value in values] == pytest.approx(expected, abs=1e-5)
    for value in values:
        assert len(value["target_tokens"]) == len(value["log_probabilities"])
        assert value["score"] == pytest.approx(value["log_probability"] / ((5 + len(value["target_tokens"])) / 6))


def test_an_ensemble_scores_with_its_mean_probability(
    transformer_run: Path, lstm_run: Path, files: list[str], capsys: Printed
) -> None:
    assert main(["score", f"run=[{transformer_run},{lstm_run}]", *files, "device=cpu"]) == 0
    translator = Translator.load(open_run([transformer_run, lstm_run]), device="cpu")
    [ids] = translator.tokenizer.encode_target(TARGET[:1])
    forced = translator.force_decode(SOURCE[0], translator.tokenizer.target_pieces(ids))
    assert float(capsys.readouterr().out.split("\n")[0]) == pytest.approx(forced.log_probability, abs=1e-3)


def test_n_best_lists_are_ranked_again(
    trained_run: Path, lstm_run: Path, files: list[str], capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files[0].removeprefix("source=")
    assert main(["translate", f"run={trained_run}", f"input={path}", "n_best=3", "format=jsonl", "device=cpu"]) == 0
    written = capsys.readouterr().out
    lists = [json.loads(line) for line in written.split("\n")[:-1]]

    def score(*arguments: str) -> list[dict[str, Any]]:
        type_in(monkeypatch, written)
        assert main(["score", files[0], "n_best=-", "device=cpu", "batch_size=2", *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]

    ranked = score(f"run={lstm_run}")
    translator = Translator.load(lstm_run, device="cpu")
    for line, before, after in zip(SOURCE, lists, ranked, strict=True):
        assert before.keys() | {"previous_score"} == after.keys()
        assert sorted(each["text"] for each in before["n_best"]) == sorted(each["text"] for each in after["n_best"])
        pairs = [(line, each["text"]) for each in after["n_best"]]
        expected = [each.score for each in score_pairs(translator, pairs)]
        assert [each["score"] for each in after["n_best"]] == pytest.approx(expected, abs=1e-5)
        assert expected == sorted(expected, reverse=True)
        assert after["text"] == after["n_best"][0]["text"]
    assert [each["n_best"] for each in ranked] != [each["n_best"] for each in lists]
    # With its whole weight, the score of the file keeps the order; the same run gives the same scores again.
    for kept in (score(f"run={lstm_run}", "own_weight=1"), score(f"run={trained_run}")):
        for before, after in zip(lists, kept, strict=True):
            assert [each["text"] for each in before["n_best"]] == [each["text"] for each in after["n_best"]]


def test_an_n_best_list_may_be_long(
    lstm_run: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "source").write_text("one\n", encoding="utf-8")
    type_in(monkeypatch, json.dumps({"text": "eins", "score": -1.0, "attention": [0.25] * 2**18}) + "\n")
    assert main(["score", f"run={lstm_run}", f"source={tmp_path / 'source'}", "n_best=-", "device=cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["previous_score"] == -1.0


def test_an_interpolated_score_by_hand() -> None:
    values = [{"text": "a", "score": -1.0, "missing": []}, {"text": "b", "score": -2.0}, {"text": "c", "score": -3.0}]
    ranked = rank({**values[0], "n_best": values}, [-2.0, -1.0, -1.0])
    assert [each["text"] for each in ranked["n_best"]] == ["b", "c", "a"]
    assert (ranked["text"], ranked["score"], ranked["previous_score"]) == ("b", -1.0, -2.0)
    assert rank(values[0], [-5.0]) == {"text": "a", "score": -5.0, "previous_score": -1.0, "missing": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the translations to score by target=FILE, or n-best lists by n_best=FILE"),
        (["target={}", "n_best={}"], "name the translations to score by target=FILE, or n-best lists by n_best=FILE"),
        (["source=-", "target=-"], "only one of source and target, or n_best, can be standard input"),
        (["target={}", "format=xml"], "format=xml is unknown: use text or jsonl"),
        (["n_best={}", "format=jsonl"], "format is for target=FILE"),
        (["n_best={}", "own_weight=2"], "own_weight=2 must be from 0 to 1"),
        (["target={}", "own_weight=0.5"], "own_weight is for n_best=FILE"),
        (["n_best={}"], "line 1 is no line of nmt translate format=jsonl: "),
        (["target={}", "length_penalty=-1"], "length_penalty=-1"),
        (["target={}", "to=fr"], "to=fr: the run was trained in one direction"),
        (["target=/missing"], "target=/missing"),
    ],
)
def test_mistakes_are_one_line(
    lstm_run: Path, files: list[str], arguments: list[str], message: str, capsys: Printed
) -> None:
    path = files[1].removeprefix("target=")
    words = [f"run={lstm_run}", files[0], "device=cpu", *(each.format(path) for each in arguments)]
    assert main(["score", *words]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_missing_line_is_named(lstm_run: Path, files: list[str], capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("eins\n", encoding="utf-8")
    assert main(["score", f"run={lstm_run}", *files, "device=cpu"]) == 2
    assert "source has 5 lines, but " in capsys.readouterr().err
