import json
from pathlib import Path

from nmt.training.history import History


def test_a_record_is_in_the_file_at_once(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl", tensorboard=None, records=0, last_step=0)
    history.record({"kind": "train", "step": 1, "loss": 2.5})
    history.record({"kind": "validation", "step": 1, "bleu": 0.5})
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["train", "validation"]
    history.close()


def test_a_new_run_begins_with_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    History(path, tensorboard=None, records=0, last_step=0)
    assert path.read_text() == ""


def test_a_resumed_run_drops_what_it_will_make_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path, tensorboard=None, records=0, last_step=0)
    for step in (5, 10, 11, 15):
        history.record({"kind": "train", "step": step})
    history = History(path, tensorboard=None, records=2, last_step=10)
    history.record({"kind": "train", "step": 11})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 10, 11]


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for rest in ('{"kind": "tra', '{"kind": "train"}', "3", "\n"):
        path.write_text('{"kind": "train", "step": 5}\n' + rest)
        History(path, tensorboard=None, records=1, last_step=5).record({"kind": "train", "step": 6})
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 6]


def test_records_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path, tensorboard=None, records=0, last_step=0)
    for step in (5, 10):
        history.record({"kind": "train", "step": step})
    assert history.records == 2
    assert History(path, tensorboard=None, records=1, last_step=5).records == 1
    assert History(path, tensorboard=None, records=9, last_step=5).records == 1  # what is not there is not counted


def test_a_process_that_does_not_write_counts_as_the_one_that_does(tmp_path: Path) -> None:
    history = History(None, tensorboard=None, records=0, last_step=0)
    history.record({"kind": "train", "step": 5})
    assert history.records == 1
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"kind": "train", "step": 5}\n{"kind": "\xff\x00')
    History(path, tensorboard=None, records=1, last_step=5)
    assert path.read_text() == '{"kind": "train", "step": 5}\n'


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = History(tmp_path / "history.jsonl", tensorboard=tmp_path / "tensorboard", records=0, last_step=0)
    for step in (1, 2):
        history.record({"kind": "train", "step": step, "loss": 1.0 / step})
    history.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1.0), (2, 0.5)]
