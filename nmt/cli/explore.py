"""`nmt explore`: a page that shows attention and beams, and its API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import (
    SearchChanges,
    check_run_or_runs,
    describe_search,
    load_translator,
    open_run_or_runs,
)
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translator

PROGRAM = "nmt explore"


class ExploreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/explore.yaml, which describes each setting."""

    run: list[Path] | str | None
    runs: list[Path] | str | None
    host: str
    port: int
    origins: list[str]
    search: Component | SearchChanges
    device: str
    threads: str

    def __post_init__(self) -> None:
        check_run_or_runs(self.run, self.runs)
        check_threads(self.threads)
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise UserError(f"origins={origin} must be the address of a site without a path: https://example.org")


def run(config: DictConfig) -> None:
    """Serves the page until SIGTERM or Ctrl-C."""
    settings = to_settings(config, ExploreSettings)
    check_extra()
    from nmt.explore.app import create_app  # needs the extra
    from nmt.explore.batching import BatchingQueue
    from nmt.explore.examples import find_examples
    from nmt.explore.server import address_of, bind, is_loopback, serve
    from nmt.explore.systems import open_systems

    folders = open_run_or_runs(settings.run, settings.runs)
    searches = {folder.path: describe_search(folder, settings.search) for folder in folders}
    with (
        bind(settings.host, settings.port) as listener,  # before the models are loaded, which takes some seconds
        limit_threads(settings.threads, pick_device(settings.device)) as before_batch,
    ):
        hosts = {settings.host.lower(), "localhost", "127.0.0.1", "::1"} if is_loopback(listener) else None
        if hosts is None:
            print_message(PROGRAM, f"host={settings.host}: everybody who reaches this machine can use these systems")

        def load(folder: RunFolder, heads_off: Sequence[str]) -> Translator:
            translator = load_translator(
                folder, searches[folder.path], device=settings.device, batch_tokens=None, heads_off=heads_off
            )
            translator.before_batch = before_batch
            return translator

        systems = {system.name: system for system in open_systems(folders, load=load)}
        examples = find_examples(next(iter(systems.values())))
        app = create_app(systems, examples=examples, hosts=hosts, origins=settings.origins, queue=BatchingQueue())

        def announce() -> None:
            print(address_of(listener), flush=True)
            print_message(PROGRAM, f"serves {', '.join(systems)}; Ctrl-C ends it")

        serve(app, listener, announce)


def check_extra() -> None:
    """Raises UserError unless the packages that only this command needs are installed."""
    if missing := [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]:
        raise UserError(f"{' and '.join(missing)} must be installed: pip install '.[explore]'")
