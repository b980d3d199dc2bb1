"""`nmt push` and `run=hf://user/name`, with huggingface_hub itself and a stand-in for the hub."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData, constants

from nmt import Translator
from nmt.cli import main
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.hub import HubAddress, link_files
from tests.cli.hub_server import TOKEN, HubServer, serve


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub, and an empty cache for what is downloaded from it."""
    with serve() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an evaluation of the split test; tests must not change it."""
    folder = shutil.copytree(trained_run, tmp_path_factory.mktemp("evaluated") / "luong")
    assert main(["evaluate", f"run={folder}", "split=test", "device=cpu"]) == 0
    return Path(folder)


def test_a_run_goes_to_the_hub_and_back(
    run: Path, hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["push", f"run={run}", "to=ann/luong", "license=mit"]) == 0
    uploaded = hub.models["ann/luong"]
    names = {"config.yaml", "model.json", "search.json", "metrics.json", "corpus.json", "cleaning.json"}
    names |= {"environment.json", "tokenizer.json", "tokenizer.model", "history.jsonl", "README.md"}
    assert {*uploaded} == names | {"checkpoints/best.safetensors", "evaluation/test.json"}
    assert hub.cards == [uploaded["README.md"].decode()]
    expected = Translator.load(run, device="cpu").translate(["one two three", "nine"])

    address = "hf://ann/luong"
    again = Translator.load(address, device="cpu").translate(["one two three", "nine"])
    assert [each.text for each in again] == [each.text for each in expected]
    folder = RunFolder.open(Path(address))  # as the settings of a command hold it
    assert folder.name == "luong" and folder.path == tmp_path / "home" / "nmt" / "runs" / "ann" / "luong"

    # Results are written beside the links, and the cache of huggingface_hub stays as it is.
    cached = {path: path.read_bytes() for path in (tmp_path / "home" / "hub").rglob("blobs/*")}
    capsys.readouterr()
    assert main(["evaluate", f"run={address}", "split=test", "device=cpu"]) == 0
    assert not (folder.path / "evaluation" / "test.json").is_symlink()
    assert main(["compare", f"runs=[{address}]", "split=test", f"out={tmp_path / 'report'}", "device=cpu"]) == 0
    assert cached == {path: path.read_bytes() for path in (tmp_path / "home" / "hub").rglob("blobs/*")}

    # A newer version replaces the files, but not the own evaluation; without a connection the last one is used.
    hub.models["ann/luong"]["metrics.json"] += b"\n"
    del hub.models["ann/luong"]["cleaning.json"]
    RunFolder.open(address)
    assert (folder.path / "metrics.json").read_bytes().endswith(b"\n\n")
    assert not (folder.path / "cleaning.json").exists()
    assert (folder.path / "evaluation" / "test.hyp.txt").is_file()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert RunFolder.open(address).path == folder.path


def test_the_card_is_valid_and_true(
    run: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = Path(shutil.copytree(run, tmp_path / "luong")), tmp_path / "out"
    stored = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    shutil.copy(run / "evaluation" / "test.json", run / "evaluation" / "old.json")
    (run / "evaluation" / "old.json").write_text(json.dumps(stored | {"split": "old", "model_hash": "0"}))
    (run / "evaluation" / "de-en").mkdir()
    other_direction = stored | {"source": "de", "target": "en"}
    (run / "evaluation" / "de-en" / "test.json").write_text(json.dumps(other_direction))
    assert main(["push", f"run={run}", "to=ann/luong", "dry_run=true", f"out={out}"]) == 0
    assert "the evaluations of old are not of the present weights: left out" in capsys.readouterr().err
    files = sorted(str(path.relative_to(out / "evaluation")) for path in (out / "evaluation").rglob("*.json"))
    assert files == ["de-en/test.json", "test.json"]
    text = (out / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert data.language == ["en", "de"] and data.license is None and data.datasets is None
    bleu, *others = data.eval_results or []
    assert bleu.metric_value == round(stored["metrics"]["bleu"]["score"], 2)
    assert bleu.metric_args == {"signature": stored["metrics"]["bleu"]["signature"]}
    assert (bleu.dataset_name, bleu.dataset_split, len(others)) == (corpus_folder.name, "test", 5)
    assert [result.task_name for result in (bleu, others[2])] == ["Translation en-de", "Translation de-en"]
    assert text.count(f"`{stored['metrics']['bleu']['signature']}`") == 1 and "| de → en | test | 8 |" in text
    assert "No licence was stated" in text
    # The command in the card gives the settings of the run.
    [command] = [line for line in text.splitlines() if line.startswith("nmt train")]
    words = command.replace(f"data.path={corpus_folder.name}", f"data.path={corpus_folder}").split()[2:]
    assert {"data=files", "model=lstm_luong", "model.hidden_size=32", "trainer.max_steps=160"} <= {*words}
    capsys.readouterr()
    assert main(["train", *words, f"run={run}", "--cfg", "job", "--resolve"]) == 0
    again, original = yaml.safe_load(capsys.readouterr().out), yaml.safe_load((run / "config.yaml").read_text())
    ignored = {"run", "name"}
    assert {key: value for key, value in again.items() if key not in ignored} == {
        key: value for key, value in original.items() if key not in ignored
    }


def test_the_card_names_the_corpus_of_each_evaluation(
    run: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = Path(shutil.copytree(run, tmp_path / "luong")), tmp_path / "out"
    shutil.copytree(corpus_folder, tmp_path / "news")
    for language in ("en", "de"):
        (tmp_path / "news" / f"test.{language}").write_text("two lines\nof other text\n", encoding="utf-8")
    (run / "evaluation" / "test.json").unlink()
    news = ["data=files", f"data.path={tmp_path / 'news'}", "data.source=en", "data.target=de"]
    assert main(["evaluate", f"run={run}", "split=test", *news]) == 0
    assert main(["evaluate", f"run={run}", "split=val"]) == 0
    capsys.readouterr()
    assert main(["push", f"run={run}", "to=ann/luong", "dry_run=true", f"out={out}"]) == 0
    text = (out / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    results = {(result.dataset_name, result.dataset_split) for result in data.eval_results or []}
    assert results == {("news", "test"), (corpus_folder.name, "val")}
    assert "| en → de | test of news | 2 |" in text and "| en → de | val | " in text
    assert "To measure again: `nmt evaluate run=hf://ann/luong split=val`." in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["translate", "run=hf://ann/nothing"], "run=hf://ann/nothing: the hub has no such model, or it is private"),
        (["train", "run=hf://ann/luong"], "run=hf://ann/luong is on the hub"),
        (["compare", "runs=[hf://ann]", "split=test"], "hf://ann is no address of a run"),
        (["plot", "run=hf://ann/luong@../..", "source=one"], "hf://ann/luong@../.. is no address of a run"),
        (["push", "run=RUN", "to=luong"], "to=luong is no name on the hub: write to=user/name"),
        (["push", "run=RUN", "to=ann/luong"], "to=ann/luong: writing to the hub needs a token"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    message: str,
    trained_run: Path,
    hub: HubServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert main([word.replace("RUN", str(trained_run)) for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_hub_that_cannot_be_reached(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"init=hf://ann/luong@v1: the hub cannot be reached, and the run was not"):
        RunFolder.open("hf://ann/luong@v1", key="init")


def test_two_processes_may_link_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the processes of torchrun do with init=hf://…: the second one starts before the first one has all links."""
    (tmp_path / "snapshot").mkdir()
    for name in ("model.json", "search.json"):
        (tmp_path / "snapshot" / name).write_text(name)
    folder, symlink_to = tmp_path / "runs" / "ann" / "luong", Path.symlink_to

    def interrupted(link: Path, target: str) -> None:
        symlink_to(link, target)
        monkeypatch.setattr(Path, "symlink_to", symlink_to)
        link_files(tmp_path / "snapshot", folder)

    monkeypatch.setattr(Path, "symlink_to", interrupted)
    link_files(tmp_path / "snapshot", folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "model.json": "model.json",
        "search.json": "search.json",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["luong"]


def test_addresses_are_recognised() -> None:
    assert HubAddress.parse("runs/hf") is None and HubAddress.parse(Path("/hf:/a/b")) is None
    assert HubAddress.parse(Path("hf://a/b@refs/pr/1")) == HubAddress("a/b", "refs/pr/1")
    assert str(HubAddress.parse(Path("hf://a/b.c-d"))) == "hf://a/b.c-d"
