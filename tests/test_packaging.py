"""What is packaged: the files that are no code, and the versions of Python on which a release is tried."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_a_release_is_tried_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    tried = workflow["jobs"]["try"]["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: Python :: 3." in line]
    assert tried == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_only_a_tried_wheel_is_published() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    assert (jobs["try"]["needs"], jobs["publish"]["needs"]) == ("build", "try")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert any(step.get("run") == "scripts/smoke.sh" for step in jobs["try"]["steps"])


def test_the_docker_image_gets_all_files_that_the_package_needs() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    needed = {*wheel["packages"], *wheel["force-include"], project["readme"], *project["license-files"]}
    assert copied == {*needed, "pyproject.toml", "constraints.txt"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    assert set(re.findall(r"^!(.*)$", ignored, flags=re.MULTILINE)) == copied


def test_type_checkers_read_the_annotations() -> None:
    assert (ROOT / "nmt" / "py.typed").is_file()
