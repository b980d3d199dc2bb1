"""scripts/zoo.sh, which compares the attention mechanisms, with its costs and its page; and its experiments."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nmt.cli import main
from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import complete_config, compose, hydra_initialized
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.tokenizer import NewTokenizer

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("zoo_*.yaml"))
PARAMETERS = 870_000
TRAIN = Command("train", "")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_mechanism_has_the_same_number_of_parameters_and_steps(experiment: str) -> None:
    with hydra_initialized() as folder:
        composed = compose("train", folder, [f"experiment={experiment}"])
    settings = to_settings(complete_config(composed), TrainSettings)
    with torch.device("meta"):
        model = settings.model.build(source_vocab_size=1600, target_vocab_size=1600, shared_vocab=True)
    assert abs(model.num_parameters() - PARAMETERS) < 0.05 * PARAMETERS
    assert (settings.trainer.max_steps, settings.loader.batch_tokens) == (3000, 800)
    assert isinstance(settings.tokenizer, NewTokenizer) and settings.tokenizer.vocab_size == 1600
    assert settings.model.arguments["dropout"] == 0.0
    assert settings.run.parent == Path("runs", experiment)  # not that of another experiment with the same model


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_mechanism_also_trains_on_other_text(experiment: str) -> None:
    with hydra_initialized() as folder:
        composed = configure(TRAIN, folder, [f"experiment={experiment}", "data=files", "data.path=text"])
    assert to_settings(complete_config(composed), TrainSettings).data.arguments == {
        "path": "text", "source": "en", "target": "de",
    }  # fmt: skip


def test_a_size_of_the_built_in_corpus_is_refused_with_other_text(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["experiment=zoo_luong", "data=files", "data.path=text"]
    for word, message in (
        ("data.train_size=5", "data.train_size: no such key with data=files"),
        ("++data.train_size=5", "data: FilesCorpus: got an unexpected keyword argument 'train_size'"),
        ("+data.more.size=5", "data: FilesCorpus: got an unexpected keyword argument 'more'"),
    ):
        assert main(["train", *words, word]) == 2
        assert message in capsys.readouterr().err


def test_the_script_trains_and_evaluates_each_mechanism_on_each_corpus(
    start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """With a stand-in for Python that writes down what it is called with."""
    text = tmp_path / "my text"
    text.mkdir()
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("en", "de"):
            lines = "A dog.\n" * (12_000 if split == "train" else 3)
            (text / f"{split}.{language}.gz").write_bytes(gzip.compress(lines.encode()))  # as in Multi30k
    variables = {"RUNS": "my runs", "OUT": "my page", "SEEDS": "1", "MECHANISMS": "luong lstm"}
    done = start_script("zoo.sh", "trainer.max_steps=2", **variables, DATA="my text", JOBS="1")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "my runs"
    assert done.stdout.splitlines() == [
        f"scripts/zoo_costs.py {runs}",
        f"scripts/zoo_table.py {runs} {tmp_path / 'my page'}",
    ]
    run = f"run={runs}/grammar/lstm-seed1"
    assert (runs / "grammar" / "lstm-seed1.log").read_text().splitlines() == [
        f"-m nmt train experiment=zoo_lstm seed=1 {run} resume=auto threads=1 trainer.max_steps=2",
        *(f"-m nmt evaluate split={split} {run} threads=1" for split in ("test", "test_long", "pronouns")),
    ]
    run = f"run={runs}/multi30k/luong-seed1"
    assert (runs / "multi30k" / "luong-seed1.log").read_text().splitlines() == [
        f"-m nmt train experiment=zoo_luong seed=1 {run} resume=auto threads=1 data=files "
        f"data.path={runs}/multi30k/text trainer.max_steps=2",
        f"-m nmt evaluate split=test_2016_flickr {run} threads=1",
    ]
    assert (runs / "multi30k" / "text" / "train.de").read_text().count("\n") == 10_000


def test_help_and_a_wrong_folder_of_text(start_script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = start_script("zoo.sh", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: scripts/zoo.sh")
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = start_script("zoo.sh", DATA="nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "DATA=nowhere is not a folder: name the one with train.en and train.de\n"


@pytest.mark.slow
def test_the_page_shows_the_means_of_the_runs_and_their_costs(
    load_script: Callable[[str], ModuleType],
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # 1. Two seeds of one mechanism, evaluated, and one run that is not.
    data = [f"data.{name}_size={size}" for name, size in {"train": 200, "val": 8, "test": 8, "test_long": 4}.items()]
    words = [*data, "data.pronouns_size=4", *tiny_models["lstm_luong"], *tiny_training, "tokenizer.vocab_size=120"]
    for seed in (1, 2):
        run = f"run={tmp_path / 'grammar' / f'luong-seed{seed}'}"
        assert main(["train", "experiment=zoo_luong", *words, f"seed={seed}", run]) == 0
        for split in ("test", "test_long", "pronouns"):
            assert main(["evaluate", run, f"split={split}"]) == 0
    (tmp_path / "grammar" / "lstm-seed1").mkdir()
    (tmp_path / "grammar" / "lstm-seed1" / "model.json").write_text("{}")

    # 2. The costs: the state is h, c and the attentional vector, in float32.
    costs, table = load_script("zoo_costs"), load_script("zoo_table")
    monkeypatch.setattr(costs, "NUM_ROUNDS", 1)
    monkeypatch.setattr(costs, "NUM_SENTENCES", 2)
    monkeypatch.setattr(sys, "argv", ["zoo_costs.py", str(tmp_path)])
    costs.main()
    measured = json.loads((tmp_path / "costs.json").read_text())
    model = json.loads((tmp_path / "grammar" / "luong-seed1" / "model.json").read_text())["arguments"]
    state = 2 * model["num_layers"] * model["hidden_size"] + model["embedding_size"]
    assert measured["luong"]["state_bytes"] == 4 * state
    assert measured["luong"]["activation_bytes"] > measured["luong"]["memory_bytes"] > 4 * 64 * model["hidden_size"]
    assert min(measured["luong"][f"{kind}_speed"] for kind in ("training", "decoding", "single")) > 0
    modified = (tmp_path / "costs.json").stat().st_mtime_ns
    costs.main()
    assert (tmp_path / "costs.json").stat().st_mtime_ns == modified

    # 3. The page.
    monkeypatch.setattr(sys, "argv", ["zoo_table.py", str(tmp_path), str(tmp_path / "page")])
    capsys.readouterr()
    table.main()
    assert "lstm-seed1 is left out" in capsys.readouterr().err
    record = json.loads((tmp_path / "page" / "attention-zoo.json").read_text())
    page = (tmp_path / "page" / "attention-zoo.md").read_text()
    assert list(record["runs"]) == ["grammar/luong-seed1", "grammar/luong-seed2"]
    errors, scores = [], [run["scores"] for run in record["runs"].values()]
    for seed in (1, 2):
        evaluation = (tmp_path / "grammar" / f"luong-seed{seed}" / "evaluation" / "test.json").read_text()
        errors.append(100 * json.loads(evaluation)["alignment"]["error_rate"])
    assert [score["test alignment error"] for score in scores] == pytest.approx(errors, abs=1e-4)
    texts = [tmp_path / "grammar" / "luong-seed1" / "evaluation" / f"test_long.{kind}.txt" for kind in ("hyp", "ref")]
    lengths = [len(path.read_text().split()) for path in texts]
    assert scores[0]["test_long words"] == pytest.approx(100 * lengths[0] / lengths[1], abs=1e-4)
    mean, deviation = sum(errors) / 2, abs(errors[0] - errors[1]) / 2**0.5
    assert f" | {mean:.1f} ± {deviation:.1f} | " in page
    assert page.count("| `luong` |") == 2 and "with Luong's global attention" in page
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)  # every row has all columns

    # 4. A run whose folder is elsewhere stays, unless its settings are not those of the other seeds.
    (tmp_path / "grammar" / "luong-seed2").rename(tmp_path / "elsewhere")
    (tmp_path / "costs.json").write_text("{}")  # those of more mechanisms stay
    table.main()
    assert json.loads((tmp_path / "page" / "attention-zoo.json").read_text()) == record
    assert (tmp_path / "page" / "attention-zoo.md").read_text() == page
    record["runs"]["grammar/luong-seed2"]["settings"] = "others"
    (tmp_path / "page" / "attention-zoo.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r"seeds of grammar/luong differ in their settings"):
        table.main()


def test_the_tables_of_the_mechanisms_take_their_figures_from_the_record(
    load_script: Callable[[str], ModuleType],
) -> None:
    script = load_script("mechanisms_tables")
    runs = {
        f"grammar/luong-seed{seed}": {"parameters": 884_928, "scores": {"test bleu": 90.0 + 2 * seed}}
        for seed in (1, 2)
    }
    page = (
        "| experiment | parameters | BLEU test | words |\n| --- | ---: | ---: | --- |\n{}| `zoo_lstm` | 1 | 2 | 3 |\n"
    )
    assert script.with_figures(page.format("| `zoo_luong` (dot) | 1 | 2 | few |\n"), {"runs": runs}) == page.format(
        "| `zoo_luong` (dot) | 884,928 | 93.0 ± 1.4 | few |\n"  # the mean of 92 and 94, and their deviation √2
    )


def test_docs_mechanisms_has_the_figures_of_the_record(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("mechanisms_tables")
    page, record = script.PAGE.read_text(encoding="utf-8"), script.read_json(script.RECORD)
    assert script.with_figures(page, record) == page, "python scripts/mechanisms_tables.py writes the present figures"
    experiments = set(re.findall(r"^\| `zoo_(\w+)`.* \| ", page, flags=re.MULTILINE))
    assert {name.split("/")[1].rsplit("-seed", 1)[0] for name in record["runs"]} <= experiments
