"""Every YAML file composes and trains one step."""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder
from nmt.run import RunFolder

Train = Callable[..., int]

GRAMMAR = ["data.train_size=200", "data.val_size=8", "data.test_size=8", "data.test_long_size=4"]
SCENES = ["data.train_size=60", "data.val_size=8", "data.test_size=8"]


def choices(group: str) -> list[str]:
    """The choices of a group for training; `run` is for commands that read a trained run."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml") if path.stem != "run")


def test_every_group_is_tested_here() -> None:
    groups = {str(path.parent.relative_to(conf_folder())) for path in conf_folder().rglob("*.yaml")} - {"."}
    tried = {
        "data",
        "cleaning",
        "model",
        "model/cell",
        "model/score",
        "model/span",
        "model/positions",
        "model/encoder_attention",
        "tokenizer",
        "optimizer",
        "schedule",
        "loader",
        "trainer",
        "search",
        "search/candidates",
        "objective",
    }
    assert groups == tried | {"experiment", "tracker"}  # tests/training/test_trackers.py trains with each tracker
    assert choices("data") == ["files", "grammar", "grammar_documents", "hub", "mix", "multi30k", "scenes", "text"]


@pytest.mark.parametrize("group", ["data", "search"])
def test_the_choice_run_is_refused(
    tmp_path: Path, corpus_folder: Path, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=files", f"data.path={corpus_folder}"] if group != "data" else []
    assert main(["train", *words, f"{group}=run", f"run={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is only for commands that read a trained run" in error
    assert not (tmp_path / "run").exists()


def test_the_choice_run_is_only_offered_where_it_is_possible(capsys: pytest.CaptureFixture[str]) -> None:
    for command, is_offered in (("train", False), ("doctor", False), ("evaluate", True)):
        assert main([command, "--help"]) == 0
        assert ("*run" in capsys.readouterr().out) == is_offered
    assert main(["train", "--help"]) == 0
    assert re.search(
        r"^  data +files, grammar, grammar_documents, hub, mix,\s+\*multi30k", capsys.readouterr().out, re.MULTILINE
    )


def test_a_mix_is_only_offered_where_it_is_possible(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run=run", "split=val", "data=mix", "data.parts=[a,b]"]) == 2
    assert capsys.readouterr().err.startswith("nmt evaluate: data=mix: no such choice; the choices are files, grammar,")


def test_a_list_of_choices_is_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "data=[files]", "--cfg", "job"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("model", [model for model in choices("model") if model != "picture_transformer"])
def test_every_model_trains(train: Train, tmp_path: Path, model: str) -> None:
    assert train(model=model) == 0
    assert RunFolder(tmp_path / "run").model().num_parameters() > 0


@pytest.mark.parametrize(
    ("group", "choice", "name"),
    [
        ("cell", "gru", "GRUCell"),
        ("cell", "lstm", "LSTMCell"),
        ("score", "concat", "AdditiveScore"),
        ("score", "coverage", "CoverageScore"),
        ("score", "dot", "DotScore"),
        ("score", "general", "GeneralScore"),
        ("score", "multi_head", "MultiHeadAdditiveScore"),
        ("span", "global", "GlobalSpan"),
        ("span", "local_m", "MonotonicSpan"),
        ("span", "local_p", "PredictiveSpan"),
    ],
)
def test_every_part_of_a_recurrent_model_trains(
    train: Train, tmp_path: Path, group: str, choice: str, name: str
) -> None:
    assert choice in choices(f"model/{group}")
    assert train(f"model/{group}={choice}", model="lstm_luong") == 0
    assert RunFolder(tmp_path / "run").description("model")["arguments"][group]["class"] == name
    assert RunFolder(tmp_path / "run").model().num_parameters() > 0


@pytest.mark.parametrize("pattern", choices("model/encoder_attention"))
def test_every_sparse_pattern_trains(train: Train, tmp_path: Path, pattern: str) -> None:
    assert train(f"model/encoder_attention={pattern}", model="transformer") == 0
    described = RunFolder(tmp_path / "run").description("model")["arguments"]["encoder_attention"]["arguments"]
    assert (described["num_global"] > 0, described["num_random"] > 0) == {
        "sliding_window": (False, False),
        "longformer": (True, False),
        "big_bird": (True, True),
    }[pattern]
    assert RunFolder(tmp_path / "run").model().num_parameters() > 0


@pytest.mark.parametrize("positions", choices("model/positions"))
def test_every_kind_of_positions_trains(train: Train, tmp_path: Path, positions: str) -> None:
    """Also with heads that share keys and values."""
    assert train(f"model/positions={positions}", "model.num_key_value_heads=1", model="transformer") == 0
    run = RunFolder(tmp_path / "run")
    assert run.description("model")["arguments"]["positions"]["class"].lower() == f"{positions}positions"
    heads: Any = run.model().attention_layers()["decoder"][0]
    assert heads.num_key_value_heads == 1


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        (group, choice)
        for group in ("cleaning", "tokenizer", "optimizer", "schedule", "trainer", "search")
        for choice in choices(group)
        if choice != "file"  # a tokenizer that exists already, like the choice run: tests/test_more_data_page.py
    ],
)
def test_every_choice_trains(train: Train, tmp_path: Path, group: str, choice: str) -> None:
    assert train(f"{group}={choice}") == 0
    assert RunFolder.open(tmp_path / "run").best_step() == 1


def test_candidates_come_from_samples_or_from_a_beam(train: Train, tmp_path: Path) -> None:
    assert choices("search/candidates") == ["beam", "sampling"]  # samples are the default
    assert train("search=mbr", "search/candidates=beam", "search.num_candidates=3") == 0
    arguments = RunFolder.open(tmp_path / "run").description("search")["arguments"]
    assert (arguments["candidates"]["class"], arguments["candidates"]["arguments"]["beam_size"]) == ("BeamSearch", 3)


@pytest.mark.parametrize("objective", choices("objective"))
def test_every_objective_trains(train: Train, tmp_path: Path, objective: str) -> None:
    assert train(f"objective={objective}", "data=text") == 0
    assert RunFolder.open(tmp_path / "run").best_step() == 1


@pytest.mark.parametrize("data", ["hub", "multi30k"])
def test_hub_data_trains_from_a_local_folder(train: Train, tmp_path: Path, data: str) -> None:
    words = [f"data={data}"] + (["data.id=some/where"] if data == "hub" else [])
    assert train(*words) == 0
    assert len(RunFolder(tmp_path / "run").corpus().split("val")) == 16


def test_the_built_in_corpus_trains_with_the_usual_vocabulary_size(
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    corpus_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["data=grammar", *GRAMMAR, *tiny_models["lstm"], *tiny_training, "tokenizer.vocab_size=8000"]
    assert main(["train", *words, f"run={tmp_path / 'run'}"]) == 0
    assert len(RunFolder(tmp_path / "run").corpus().split("val")) == 8
    # It has no files that could have moved; other text is selected by data=files.
    capsys.readouterr()
    assert main(["evaluate", f"run={tmp_path / 'run'}", "split=val", f"data.path={corpus_folder}"]) == 2
    assert f"select other text by data=files data.path={corpus_folder}\n" in capsys.readouterr().err


@pytest.mark.parametrize("join", [1, 2])
def test_documents_train_and_their_pronouns_are_scored(
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    capsys: pytest.CaptureFixture[str],
    join: int,
) -> None:
    sizes = ["data.train_size=100", "data.val_size=4", "data.pronouns_size=4", "tokenizer.vocab_size=120"]
    words = ["data=grammar_documents", f"data.join={join}", *tiny_models["lstm"], *tiny_training, *sizes]
    run = f"run={tmp_path / 'run'}"
    assert main(["train", *words, run]) == 0
    assert len(RunFolder(tmp_path / "run").corpus().split("train")) == 200 // join
    capsys.readouterr()
    assert main(["evaluate", run, "split=pronouns", "device=cpu"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("pronouns with")]
    # A distractor stands in the first sentence. A second sentence alone has none, and is not counted by distractors.
    assert [line[line.index("of") + 1] for line in lines] == (["2", "2"] if join == 2 else [])
    assert main(["evaluate", run, "split=pronouns", "data.path=text"]) == 2
    assert "select other text by data=files data.path=text\n" in capsys.readouterr().err


def test_compressed_files_train(train: Train, own_corpus: Path) -> None:
    for path in list(own_corpus.iterdir()):
        with gzip.open(own_corpus / f"{path.name}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    assert train(f"data.path={own_corpus}") == 0


CLASSES = {
    "lstm": "PlainRNN",
    "lstm_bahdanau": "BahdanauRNN",
    "lstm_luong": "LuongRNN",
    "transformer": "Transformer",
    "transformer_linear": "LinearTransformer",
    "decoder_only": "DecoderOnly",
    "prefix_lm": "PrefixLM",
}


def experiment_text(experiment: str) -> str:
    """The text of an experiment file, followed by those that it builds upon."""
    text = (conf_folder() / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    base = re.search(r"^  - (?!_self_)(\w+)$", text, flags=re.MULTILINE)
    return text if base is None else text + experiment_text(base[1])


@pytest.mark.slow
@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_trains(
    tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], experiment: str
) -> None:
    """Runs the command in the file's first lines, with every size reduced."""
    text = experiment_text(experiment)
    command = next(line for line in text.splitlines() if "nmt train" in line)
    own_model = re.search(r"^  - override /model: (\w+)$", text, flags=re.MULTILINE)
    typed_models = re.search(r" model=([\w,]+)", command)
    selected = own_model or typed_models
    assert selected is not None, "neither the file nor its command selects a model"
    for name in selected[1].split(","):
        sizes = [
            word for word in tiny_models[name.removeprefix("picture_")] if not (own_model and word.startswith("model="))
        ]
        data = [f"data.path={corpus_folder}"]
        if "/data: grammar" in text:
            data = [*GRAMMAR, "tokenizer.vocab_size=120"]
        if "/data: scenes" in text:
            data = [*SCENES, "tokenizer.vocab_size=150"]
        if "/data: mix" in text:
            folder = shutil.copytree(corpus_folder, tmp_path / "text")
            for path in folder.glob("*.de"):
                shutil.copy(path, path.with_suffix(".fr"))
            data = [f"data.path={folder}", "tokenizer.vocab_size=80"]
        training = [word for word in tiny_training if word != "search=greedy"]  # a recipe may change the beam search
        words = [f"experiment={experiment}", *sizes, *training, *data, "validation_split=val"]
        assert main(["train", *words, f"run={tmp_path / name}"]) == 0
        classes = CLASSES | {"picture_transformer": "PictureTransformer"}
        assert RunFolder.open(tmp_path / name).description("model")["class"] == classes[name]


def test_the_recipes_for_multi30k_differ_only_where_the_systems_do(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {}
    for system in ("lstm", "bahdanau", "luong", "transformer"):
        assert main(["train", f"experiment=multi30k_{system}", "--cfg", "job"]) == 0
        settings[system] = yaml.safe_load(capsys.readouterr().out)
        del settings[system]["model"]
    assert settings["lstm"] == settings["bahdanau"] == settings["luong"]
    recurrent, transformer = settings["luong"], settings["transformer"]
    epochs, batch_tokens = [
        [each[group][key] for each in (recurrent, transformer)]
        for group, key in (("trainer", "max_epochs"), ("loader", "batch_tokens"))
    ]
    assert epochs[0] / batch_tokens[0] == epochs[1] / batch_tokens[1]  # the same number of steps
    for each in (recurrent, transformer):
        del each["trainer"]["max_epochs"], each["loader"]["batch_tokens"], each["schedule"]["learning_rate"]
    assert recurrent == transformer


def test_the_heads_of_a_recurrent_model_are_selected_and_silenced(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("model/score=multi_head", "model.score.num_heads=2", model="lstm_bahdanau") == 0
    run, out = f"run={tmp_path / 'run'}", tmp_path / "out.json"
    assert main(["plot", run, "source=one two", f"out={out}", "heads=1"]) == 0
    assert json.loads(out.read_text())["systems"][0]["attention"]["cross"]["heads"] == [1]
    assert main(["evaluate", run, "split=val", "heads_off=[cross.0.1]"]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "split=val", "heads_off=[cross.0.2]"]) == 2
    assert "heads_off=cross.0.2: the model has no such head, only cross.0.0 to cross.0.1" in capsys.readouterr().err
