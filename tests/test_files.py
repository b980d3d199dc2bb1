import os
import stat
from pathlib import Path

import pytest

from nmt.failure import Failure
from nmt.files import read_json, replacing, write_json, write_text


def test_a_file_appears_alone(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "Straße\n")
    assert path.read_bytes() == "Straße\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["text"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_failure_in_the_middle_changes_nothing(
    tmp_path: Path, before: str | None, error: type[BaseException]
) -> None:
    path = tmp_path / "text"
    if before is not None:
        path.write_text(before)
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["text"])
    assert before is None or path.read_text() == before


def test_a_failure_to_take_the_place_leaves_no_debris(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(Failure, match="place cannot be written: a folder has that name"):
        write_text(tmp_path / "place", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["place"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "text", "")
        assert os.umask(mask) == mask  # and the process's own mask is as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "text").stat().st_mode) == mode


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"ä": [1, 2.5, None, "\u2028"], "b": {}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert "ä" in (tmp_path / "value.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b'{"a": "\xff"}'])
def test_damaged_json_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"value\.json is damaged") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_missing_json_names_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"value\.json is missing: is {tmp_path} a whole run folder"):
        read_json(tmp_path / "value.json")
