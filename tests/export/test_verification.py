"""When an export counts as right, and how differences are explained."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.data.tokenizer import Tokenizer
from nmt.errors import Failure, UserError
from nmt.export import conversion, verification
from nmt.export.conversion import export_system, move_folder
from nmt.export.system import System
from nmt.export.verification import Engine, Output, OwnTranslations, closest_exponent, explain, score_target, with_end
from nmt.run import RunFolder
from nmt.search import BeamSearch

SCORES = {(5, 3): [-1.0, -1.0], (6, 3): [-1.0005, -1.0], (7, 3): [-2.0, -1.0], (5, 6, 7, 3): [-0.7] * 4}
"""Log-probabilities of targets; 3 is `eos`."""


class OwnEngine:
    """Another program that is our own one; `error` is added to each log-probability."""

    def __init__(self, system: System, error: float = 0.0) -> None:
        self.system, self.error = system, error

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return self.system.tokenizer.encode_source(lines)

    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        translations = self.system.translator.translate(lines, beam_size=beam_size)
        return [Output(each.text, self.system.tokenizer.target_ids(each.target_tokens)) for each in translations]

    def score(self, lines: Sequence[str], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        pairs = zip(self.system.tokenizer.encode_source(lines), targets, strict=True)
        return [[score + self.error for score in score_target(self.system, *pair)] for pair in pairs]


class OwnFormat:
    """Writes one file; the other program is `engine`."""

    name = "own"
    packages: tuple[str, ...] = ("pytest",)
    shares_length_penalty = False

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def check(self, system: System) -> None:
        pass

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        (folder / "model").write_text("weights")

    def open(self, system: System, folder: Path) -> Engine:
        assert (folder / "model").is_file()
        return self.engine

    def publish(self, folder: Path, out: Path) -> None:
        move_folder(folder, out)


def test_a_right_export_gets_its_name(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    system = make_system("pre_norm")
    record = export_system(OwnFormat(OwnEngine(system, error=5e-4)), system, lines, tmp_path / "out")
    assert [comparison.same for comparison in record.verification.comparisons] == [4, 4]
    assert record.verification.largest_difference == pytest.approx(5e-4, abs=1e-6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "model"]


@pytest.mark.parametrize("error", [0.01, float("nan")])
def test_a_wrong_model_leaves_nothing_behind(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path, error: float
) -> None:
    system = make_system("pre_norm")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Failure, match="the exported model differs from the run: log-probabilities by up to"):
        export_system(OwnFormat(OwnEngine(system, error)), system, lines, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_greedy_translation_without_a_reason_is_wrong(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path
) -> None:
    system = make_system("pre_norm")
    engine = OwnEngine(system)
    engine.translate = lambda lines, **search: [Output("x", [5, 3])] * len(lines)  # type: ignore[method-assign]
    with torch.no_grad():  # ours end at once
        system.model.vocabulary.output.bias[system.tokenizer.eos_id] += 100
    with pytest.raises(Failure, match=r"translates \d of 4 lines differently without a reason, such as 'one two"):
        export_system(OwnFormat(engine), system, lines, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_cut_into_other_pieces_is_no_failure(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path
) -> None:
    system = make_system("pre_norm")

    class OtherTokenizer(OwnEngine):
        """Cuts the last line into one piece, and translates it differently."""

        def encode(self, lines: Sequence[str]) -> list[list[int]]:
            return [*super().encode(lines)[:-1], [5]]

        def translate(self, lines: Sequence[str], **search: Any) -> list[Output]:
            return [*super().translate(lines, **search)[:-1], Output("y", [5, 3])]

    record = export_system(OwnFormat(OtherTokenizer(system)), system, lines, tmp_path / "out")
    assert [comparison.different for comparison in record.verification.comparisons] == [{"tokenizer": 1}] * 2
    assert record.verification.comparisons[0].examples[0].source == lines[-1]


def test_any_search_becomes_a_beam_that_other_programs_know(transformer_run: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(transformer_run, tmp_path / "run"))
    limits: dict[str, Any] = {"max_length_factor": 1.5, "max_length_margin": 7}
    sampling = {"class": "Sampling", "arguments": limits | {"temperature": 1.0, "top_k": 3, "top_p": None, "seed": 1}}
    others = [
        sampling,
        {"class": "MinimumBayesRisk", "arguments": {"candidates": sampling, "num_candidates": 4, "utility": "bleu"}},
        {"class": "GreedySearch", "arguments": limits},
    ]
    for description in others:
        run.write_description("search", description)
        assert System.load(run).search == BeamSearch(beam_size=1, length_penalty=0.0, **limits)
    beam: dict[str, Any] = {"beam_size": 3, "length_penalty": 0.6, **limits}
    constrained = beam | {"min_length": 2, "no_repeat_ngram": 3}
    run.write_description("search", {"class": "BeamSearch", "arguments": constrained})
    assert System.load(run).search == BeamSearch(**beam)


def test_there_must_be_a_line(make_system: Callable[..., System], tmp_path: Path) -> None:
    system = make_system("pre_norm")
    with pytest.raises(UserError, match="no line to verify the export with"):
        export_system(OwnFormat(OwnEngine(system)), system, ["", " "], tmp_path / "out")


def test_an_interrupted_export_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), conversion.temporary_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "exponent", "is_greedy", "reason"),
    [
        ([5], [5, 3], 0.0, True, "length limit"),
        ([5, 3], [5, 6], 0.0, False, "length limit"),
        ([5, 3], [6, 3], 0.0, True, "tie"),  # 0.0005 apart at the first different piece
        ([5, 3], [7, 3], 0.0, True, "unexplained"),
        ([5, 3], [6, 3], 0.5, False, "tie"),  # totals -2 and -2.0005
        # -2 / lp(2) = -2 / (7/6)^1 = -1.71 and -2.8 / (9/6)^1 = -1.87: ours is better by our penalty, and by theirs
        # -2 / 2^0.9 = -1.07 is worse than -2.8 / 4^0.9 = -0.80.
        ([5, 3], [5, 6, 7, 3], 0.9, False, "length penalty"),
        ([5, 3], [5, 6, 7, 3], 0.0, False, "search"),  # -2 against -2.8
        ([7, 3], [5, 3], 0.5, False, "search"),  # theirs is better by both: our beam lost it
    ],
)
def test_reasons(
    make_system: Callable[..., System],
    monkeypatch: pytest.MonkeyPatch,
    ours: list[int],
    theirs: list[int],
    exponent: float,
    is_greedy: bool,
    reason: str,
) -> None:
    monkeypatch.setattr(verification, "score_target", lambda system, source, target: SCORES[tuple(target)])
    found = explain(make_system("pre_norm"), "one", Output("", ours), Output("", theirs), 1.0, exponent, is_greedy)
    assert found == reason


def test_closest_exponent() -> None:
    """The slope of α · log(5 + L) against log L is α · L / (5 + L)."""
    assert closest_exponent(0.6, 10) == 0.4
    assert closest_exponent(0.0, 10) == closest_exponent(0.6, 0) == 0.0


def test_a_score_is_a_log_probability_among_the_allowed_pieces(
    make_system: Callable[..., System], tokenizer: Tokenizer
) -> None:
    system = make_system("pre_norm")
    [source] = tokenizer.encode_source(["one two"])
    scores = [score_target(system, source, [id])[0] for id in range(tokenizer.target_size)]
    assert torch.tensor(scores).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert scores[tokenizer.unk_id] == -float("inf")
    assert with_end([4], 3) == with_end([4, 3], 3) == [4, 3]
