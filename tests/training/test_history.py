"""The history: records are written at once, and a resumed run keeps those of its checkpoint."""

import json
from pathlib import Path

from nmt.training.history import History


def started(path: Path | None, *, num_records: int = 0, last_step: int = 0) -> History:
    history = History(path, tracking=None)
    history.start(num_records=num_records, last_step=last_step)
    return history


def test_a_record_is_in_the_file_at_once(tmp_path: Path) -> None:
    history = started(tmp_path / "history.jsonl")
    history.record({"kind": "train", "step": 1, "loss": 2.5})
    history.record({"kind": "validation", "step": 1, "bleu": 0.5})
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["train", "validation"]
    history.close()


def test_a_new_run_starts_with_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    started(path)
    assert path.read_text() == ""


def test_a_resumed_run_drops_the_records_it_will_write_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = started(path)
    for step in (5, 10, 11, 15):
        history.record({"kind": "train", "step": step})
    history = started(path, num_records=2, last_step=10)
    history.record({"kind": "train", "step": 11})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 10, 11]


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for rest in ('{"kind": "tra', '{"kind": "train"}', "3", "\n"):
        path.write_text('{"kind": "train", "step": 5}\n' + rest)
        started(path, num_records=1, last_step=5).record({"kind": "train", "step": 6})
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 6]


def test_records_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = started(path)
    for step in (5, 10):
        history.record({"kind": "train", "step": step})
    assert history.num_records == 2
    assert started(path, num_records=1, last_step=5).num_records == 1
    assert started(path, num_records=9, last_step=5).num_records == 1  # only records that exist are counted


def test_without_a_path_records_are_counted_and_nothing_is_written(tmp_path: Path) -> None:
    history = started(None)
    history.record({"kind": "train", "step": 5})
    assert history.num_records == 1
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_not_text_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"kind": "train", "step": 5}\n{"kind": "\xff\x00')
    started(path, num_records=1, last_step=5)
    assert path.read_text() == '{"kind": "train", "step": 5}\n'
