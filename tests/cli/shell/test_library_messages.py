"""What libraries log and warn of appears as one line of this program."""

from __future__ import annotations

import logging
import warnings

import pytest

from nmt.cli.shell.library_messages import library_messages


def test_each_warning_is_one_line_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with library_messages("nmt plot"):
            for _ in range(2):
                logging.getLogger("matplotlib.font_manager").warning("no\n  font %s", "X")
                warnings.warn("bad\nshape", UserWarning, stacklevel=1)
            logging.getLogger("matplotlib").info("nothing")
    expected = "nmt plot: matplotlib: no font X\nnmt plot: UserWarning: bad shape\n"
    assert capsys.readouterr().err == expected
    assert logging.getLogger().handlers == []
