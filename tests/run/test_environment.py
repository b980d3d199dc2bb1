"""environment.json: the program is named by its commit, and an environment is recorded once."""

import subprocess
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from nmt.errors import UserError
from nmt.run.environment import Environment, describe_program, read_environments, record_environment

ENVIRONMENT = Environment(
    step=0,
    program="commit 1234567",
    python="3.11.9",
    torch="2.13.0",
    device="AMD EPYC",
    threads=1,
    processes=1,
    number_format="fp32",
)


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_checkout_is_named_by_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    clean, changed = tmp_path / "clean", tmp_path / "changed"
    clean.mkdir()
    (clean / "code.py").write_text("1\n")
    git(clean, "init")
    git(clean, "add", "code.py")
    git(clean, "commit", "-m", "one")
    git(clean, "tag", "-a", "v1", "-m", "one")  # a tag is not a commit
    git(tmp_path, "clone", "clean", "changed")
    (changed / "code.py").write_text("2\n")
    commit = git(clean, "rev-parse", "--short", "HEAD").strip()
    assert describe_program(clean) == f"commit {commit}"
    assert describe_program(changed) == f"commit {commit}-dirty"


def test_an_installed_package_is_named_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    assert describe_program(tmp_path) == "unknown commit"  # this is no repository
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(metadata, "version", {"nmt": "0.1.0"}.__getitem__)
    assert describe_program(tmp_path / "site-packages") == "version 0.1.0"


def test_an_environment_is_recorded_when_it_changes(tmp_path: Path) -> None:
    assert read_environments(tmp_path) == []
    other = msgspec.structs.replace(ENVIRONMENT, step=20, device="Intel Xeon")
    for environment in (ENVIRONMENT, msgspec.structs.replace(ENVIRONMENT, step=10), other):
        record_environment(tmp_path, environment)
    assert read_environments(tmp_path) == [ENVIRONMENT, other]


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"format": 2, "environments": [{"step": -1}]}')
    with pytest.raises(UserError, match=r"environment\.json is damaged"):
        read_environments(tmp_path)
