"""`nmt evaluate` through the real entry point."""

import json
import shutil
from pathlib import Path

import pytest
import sacrebleu
import torch

from nmt.cli import main
from nmt.evaluation.attention_file import read_attention
from nmt.translator import Translator


@pytest.fixture
def own_run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of the trained run that a test may change."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def test_scores_are_those_of_sacrebleu_for_the_files_beside_them(
    own_run: Path, corpus_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", f"run={own_run}", "split=test", "device=cpu"]) == 0
    folder = own_run / "evaluation"
    result = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    hypotheses = (folder / "test.hyp.txt").read_text(encoding="utf-8").splitlines()
    references = (folder / "test.ref.txt").read_text(encoding="utf-8").splitlines()
    assert references == (corpus_folder / "test.de").read_text(encoding="utf-8").splitlines()
    expected = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert result["metrics"]["bleu"]["score"] == pytest.approx(expected)
    assert expected > 20  # so that the comparison is not one of two zeros
    printed = capsys.readouterr().out
    assert f"{expected:.2f}" in printed
    assert result["metrics"]["bleu"]["signature"] in printed


def test_further_references_count_in_every_score_and_in_a_comparison(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={own_run}", "split=test", "device=cpu"]
    assert main(["evaluate", *words]) == 0
    folder = own_run / "evaluation"
    hypotheses, references = ((folder / f"test.{name}.txt").read_text(encoding="utf-8") for name in ("hyp", "ref"))
    second = tmp_path / "second.de"
    second.write_text("\n".join([*hypotheses.split("\n")[:3], *references.split("\n")[3:]]), encoding="utf-8")
    assert main(["evaluate", *words, f"references=[{second}]"]) == 0
    assert "again: other text" in capsys.readouterr().err
    result = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    both = [text.read_text(encoding="utf-8").splitlines() for text in (folder / "test.ref.txt", second)]
    expected = sacrebleu.corpus_bleu(hypotheses.splitlines(), both).score
    assert result["metrics"]["bleu"]["score"] == pytest.approx(expected)
    assert result["metrics"]["bleu"]["signature"].startswith("nrefs:2|")
    # The stored evaluation holds as long as the references do, in a comparison too.
    compared = ["compare", f"runs=[{own_run}]", *words[1:], f"references=[{second}]", f"out={tmp_path / 'report'}"]
    assert main(compared) == 0
    assert "again" not in capsys.readouterr().err
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert report["references"] == 2
    assert report["systems"][0]["significance"]["bleu"] == pytest.approx(expected)
    second.write_text(references + "one more\n", encoding="utf-8")
    assert main(["evaluate", *words, f"references=[{second}]"]) == 2
    assert "sentences: it needs one line for each" in capsys.readouterr().err


def test_another_number_format_is_recorded_and_evaluated_anew(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", f"run={own_run}", "split=test", "device=cpu"]
    assert main(words) == 0
    before = json.loads((own_run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert main([*words, "precision=bf16"]) == 0
    assert "again: precision=bf16 instead of fp32" in capsys.readouterr().err
    after = json.loads((own_run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert (before["precision"], after["precision"]) == ("fp32", "bf16")
    assert after["samples"][0]["score"] != before["samples"][0]["score"]  # so that it was computed in another format
    assert after["metrics"]["bleu"]["score"] > before["metrics"]["bleu"]["score"] / 2
    assert next(Translator.load(own_run, device="cpu", precision="bf16").model.parameters()).dtype == torch.bfloat16
    assert main([*words, "precision=fp8"]) == 2
    assert "precision=fp8 is unknown to engine=torch: use fp32 or bf16" in capsys.readouterr().err


def test_hypotheses_are_those_of_the_translator(own_run: Path, corpus_folder: Path) -> None:
    assert main(["evaluate", f"run={own_run}", "split=test", "device=cpu"]) == 0
    sources = (corpus_folder / "test.en").read_text(encoding="utf-8").splitlines()
    expected = [translation.text for translation in Translator.load(own_run, device="cpu").translate(sources)]
    assert (own_run / "evaluation" / "test.hyp.txt").read_text(encoding="utf-8").splitlines() == expected


def test_the_attention_of_every_sentence_is_kept_in_words(own_run: Path, corpus_folder: Path) -> None:
    assert main(["evaluate", f"run={own_run}", "split=test", "device=cpu"]) == 0
    folder = own_run / "evaluation"
    sources = (folder / "test.source.txt").read_text(encoding="utf-8").splitlines()
    assert sources == (corpus_folder / "test.en").read_text(encoding="utf-8").splitlines()
    translations = Translator.load(own_run, device="cpu").translate(sources, attention="cross")
    stored = read_attention(folder / "test.attention.gz")
    for sentence, translation in zip(stored, translations, strict=True):
        words = translation.attention["cross"].mean().words()
        assert sentence is not None
        assert (sentence.columns, sentence.rows) == (words.columns, words.rows)
        assert sentence.matrix == pytest.approx(words.matrix, abs=1 / 500)


def test_samples_are_translations_of_the_split_with_their_attention(own_run: Path, corpus_folder: Path) -> None:
    assert main(["evaluate", f"run={own_run}", "split=val", "device=cpu"]) == 0
    result = json.loads((own_run / "evaluation" / "val.json").read_text(encoding="utf-8"))
    sources = (corpus_folder / "val.en").read_text(encoding="utf-8").splitlines()
    hypotheses = (own_run / "evaluation" / "val.hyp.txt").read_text(encoding="utf-8").splitlines()
    assert len(result["samples"]) == 8
    lengths = [len(sample["source"].split()) for sample in result["samples"]]
    assert min(lengths) < max(lengths)  # from short to long
    for sample in result["samples"]:
        assert sample["source"] == sources[sample["index"]]
        assert sample["hypothesis"] == hypotheses[sample["index"]]
        assert len(sample["attention"]) == len(sample["target_tokens"])
        for row in sample["attention"]:
            assert len(row) == len(sample["source_tokens"])
            assert sum(row) == pytest.approx(1.0, abs=0.01)


def test_the_search_and_the_corpus_of_the_run_can_be_changed(own_run: Path, own_corpus: Path) -> None:
    for language in ("en", "de"):
        (own_corpus / f"extra.{language}").write_text("one two\n" if language == "en" else "eins zwei\n", "utf-8")
    arguments = [f"run={own_run}", "split=extra", f"data.path={own_corpus}", "search.beam_size=2", "device=cpu"]
    assert main(["evaluate", *arguments]) == 0
    result = json.loads((own_run / "evaluation" / "extra.json").read_text(encoding="utf-8"))
    assert result["sentences"] == 1
    assert result["search"]["arguments"]["beam_size"] == 2


def test_another_search_and_another_corpus_can_be_selected(own_run: Path, own_corpus: Path) -> None:
    arguments = [f"run={own_run}", "split=val", "data=files", f"data.path={own_corpus}", "search=greedy", "device=cpu"]
    assert main(["evaluate", *arguments]) == 0
    result = json.loads((own_run / "evaluation" / "val.json").read_text(encoding="utf-8"))
    assert result["search"]["class"] == "GreedySearch"


def test_lines_that_are_cut_off_are_named_and_still_counted_when_the_evaluation_is_used_again(
    own_run: Path, own_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_corpus / "long.en").write_text("one\n" + "two " * 1030 + "\nthree\n", encoding="utf-8")
    (own_corpus / "long.de").write_text("eins\nzwei\ndrei\n", encoding="utf-8")
    search = ["search=greedy", "search.max_length_factor=0.0"]
    words = ["evaluate", f"run={own_run}", "split=long", f"data.path={own_corpus}", *search, "device=cpu"]
    assert main(words) == 0
    warning = capsys.readouterr().err.splitlines()[0]
    assert warning == "nmt evaluate: long, line 2: 1030 pieces, but the model takes at most 1023: the rest is cut off"
    assert main(words) == 0
    assert "1 of 3 lines were cut off, since they were too long for the model" in capsys.readouterr().err


def test_tokenised_text_gets_one_remark_instead_of_warnings_of_sacrebleu(
    own_run: Path, own_corpus: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (own_corpus / "tokenised.en").write_text("one two .\n" * 120, encoding="utf-8")
    (own_corpus / "tokenised.de").write_text("eins zwei .\n" * 119 + "eins zwei.\n", encoding="utf-8")
    words = [f"run={own_run}", "split=tokenised", f"data.path={own_corpus}", "search=greedy", "device=cpu"]
    assert main(["evaluate", *words]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert '119 of 120 references end in a separate full stop (" ."), as tokenised text does' in lines[0]
    assert "detokenizer.perl" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run=nowhere", "split=val"], "run=nowhere"),
        (["split=val"], "run=… is required"),
        (["run={run}", "split=tset"], "tset"),
        (["run={run}", "split=val", "device=cuda:99"], "device=cuda:99"),
        (["run={run}", "split=val", "search.beam_size=0"], "search.beam_size=0 must be"),
        (["run={run}", "split=val", "search.beem_size=3"], "search.beam_size"),
        (["run={run}", "split=val", "search.beam_size=two"], "search.beam_size: must be a whole number or null"),
        (["run={run}", "split=val", "batch_tokens=many"], "batch_tokens: must be a whole number or null, not many"),
        (["run={run}", "split=val", "data.path=nowhere"], "nowhere"),
        (
            ["run={run}", "split=val", "data=text", "data.path={data}", "data.languages=[en]"],
            "data=text has no translations to compare with: select text that has, as in data=files",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], expected: str, own_run: Path, corpus_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [argument.format(run=own_run, data=corpus_folder) for argument in arguments]
    assert main(["evaluate", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert not (own_run / "evaluation").exists()


@pytest.mark.parametrize("name", ["model.json", "search.json", "tokenizer.json", "checkpoints/best.safetensors"])
def test_an_incomplete_or_damaged_folder_is_named(name: str, own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (own_run / name).read_bytes()
    (own_run / name).write_bytes(content[: len(content) // 2])
    assert main(["evaluate", f"run={own_run}", "split=val", "device=cpu"]) == 2
    assert Path(name).name in capsys.readouterr().err
    (own_run / name).unlink()
    assert main(["evaluate", f"run={own_run}", "split=val", "device=cpu"]) == 2
    error = capsys.readouterr().err
    assert Path(name).name in error
    assert error.count("\n") == 1


def test_translations_that_the_length_limit_cut_are_recorded_and_counted(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["search.max_length_factor=0", "search.max_length_margin=2"]
    assert main(["evaluate", f"run={own_run}", "split=test", "device=cpu", *limits]) == 0
    result = json.loads((own_run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert result["search"]["arguments"]["max_length_margin"] == 2
    lines = result["truncated"]
    assert len(lines) > 1
    remark = f"nmt evaluate: {len(lines)} translations were cut at the length limit (lines {lines[0]}, {lines[1]}, "
    assert remark in capsys.readouterr().err
    assert main(["evaluate", f"run={own_run}", "split=test", "device=cpu"]) == 0
    assert "length limit" not in capsys.readouterr().err


def test_pronouns_are_scored_on_a_corpus_that_knows_them(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This system does not know the words of the grammar, so no pronoun is correct."""
    sizes = [f"data.{split}_size=5" for split in ("train", "val", "test", "test_long", "pronouns")]
    words = ["evaluate", f"run={own_run}", "split=pronouns", "data=grammar", *sizes, "search=greedy", "device=cpu"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    line = "pronouns                         0.00  0 of 5 correct, 0 with another form, 5 without a pronoun"
    assert line in printed.splitlines()
    result = json.loads((own_run / "evaluation" / "pronouns.json").read_text(encoding="utf-8"))
    assert result["pronouns"]["all"] == {"correct": 0, "wrong": 0, "missing": 5}
    assert result["pronouns"]["with_distractor"]["missing"] == 3
    assert main(words) == 0  # from the stored evaluation
    assert capsys.readouterr().out == printed


def test_a_recurrent_model_has_no_heads_to_silence(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", f"run={own_run}", "split=val", "device=cpu", "heads_off=[encoder.0.0]"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "nmt evaluate: heads_off=encoder.0.0: this model has no attention heads; a Transformer has them, and "
        "model/score=multi_head\n"
    )
    assert not (own_run / "evaluation").exists()
