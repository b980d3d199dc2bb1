"""`nmt push`: uploads a trained run to the Hugging Face hub, with a model card."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.reproduction import find_training_command
from nmt.cli.shell.run_config import read_config
from nmt.cli.shell.settings import to_settings
from nmt.errors import UserError
from nmt.export.conversion import RECORD_FILE, ExportRecord, check_out, move_folder, temporary_folder
from nmt.export.huggingface import HuggingFaceFormat
from nmt.files import read_record, write_text, writing
from nmt.report.model_card import read_current_evaluations, write_card
from nmt.run import RunFolder
from nmt.run.hub import CARD_FILE, RUN_FILES, SCHEME, check_login, is_repository, upload_folder
from nmt.run.model_hash import hash_model

PROGRAM = "nmt push"

EXPORT_FOLDER = "transformers"
"""The subfolder of the exported model on the hub."""


class PushSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/push.yaml, which describes each setting."""

    run: Path
    to: str
    license: str | None
    private: bool
    exported: Path | None
    dry_run: bool
    out: Path

    def __post_init__(self) -> None:
        if not is_repository(self.to):
            raise UserError(f"to={self.to} is no name on the hub: write to=user/name")


def run(config: DictConfig) -> None:
    """Writes the files for the hub into a folder, and uploads it."""
    settings = to_settings(config, PushSettings)
    folder = RunFolder.open(settings.run)
    folder.check_translates()
    if settings.dry_run:
        check_out(settings.out)
        with temporary_folder(settings.out) as prepared:
            prepare(settings, folder, prepared)
            move_folder(prepared, settings.out)
        print_message(PROGRAM, f"wrote {settings.out}, which nmt push run={settings.run} to={settings.to} uploads")
        return
    check_login(f"to={settings.to}")
    with tempfile.TemporaryDirectory(prefix="nmt-push-") as name:
        prepare(settings, folder, Path(name))
        address = upload_folder(Path(name), settings.to, private=settings.private)
    print_message(PROGRAM, f"uploaded {folder.path} to {address}: use it as run={SCHEME}{settings.to}")


def prepare(settings: PushSettings, run: RunFolder, folder: Path) -> None:
    """Fills an empty folder with the files for the hub.

    Raises:
        UserError: a file of the run is damaged, or `exported` is no export of it for transformers.
        Failure: the system refuses to write.
    """
    evaluations, old = read_current_evaluations(run)
    if old:
        print_message(PROGRAM, f"the evaluations of {', '.join(old)} are not of the present weights: left out")
    if not evaluations:
        print_message(PROGRAM, f"the card has no scores: call nmt evaluate run={settings.run} split=test before")
    if settings.license is None:
        print_message(PROGRAM, "the card states no licence: license=mit or another one tells others what they may do")
    words = find_training_command(read_config(run.path / "config.yaml"))
    command = None if words is None else shlex.join(["nmt", "train", *words])
    card = write_card(run, [*evaluations.values()], repository=settings.to, license=settings.license, command=command)
    files = [path.relative_to(run.path) for pattern in RUN_FILES for path in run.path.glob(pattern)]
    with writing(folder):
        for file in [file for file in files if file.parent.name != "evaluation"] + [*evaluations]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.path / file, folder / file)
    write_text(folder / CARD_FILE, str(card))
    if settings.exported is not None:
        check_export(settings.exported, run)
        with writing(folder):
            shutil.copytree(settings.exported, folder / EXPORT_FOLDER)


def check_export(folder: Path, run: RunFolder) -> None:
    """Raises UserError unless a folder is an export for transformers of a run as it is now."""
    record = read_record(folder / RECORD_FILE, ExportRecord)
    if record.format != HuggingFaceFormat.name or record.model_hash != hash_model(run):
        raise UserError(
            f"exported={folder} is no export of run={run.path} as it is now: call nmt export run={run.path} "
            f"format={HuggingFaceFormat.name} out=…"
        )
