"""Models of CTranslate2: every variant that it can express, compared with the run by CTranslate2 itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nmt.errors import Failure, UserError
from nmt.export.conversion import ExportRecord, export_system
from nmt.export.ctranslate2 import CTranslate2Format, extend_table
from nmt.export.system import System
from nmt.models import LearnedPositions
from nmt.run.weights import save_weights

pytest.importorskip("ctranslate2")
import ctranslate2

VARIANTS = [
    *("pre_norm", "post_norm", "untied", "two_vocabularies", "two_vocabularies_post_norm"),
    *("shared_heads", "multi_query", "learned", "rotary", "relative"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_ctranslate2_computes_what_the_run_computes(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path, variant: str
) -> None:
    system = make_system(variant)
    record = export_system(CTranslate2Format(), system, lines, tmp_path / "out")
    assert record.verification.lines == 4
    assert record.verification.largest_difference < 1e-4
    for comparison in record.verification.comparisons:
        assert comparison.same + sum(comparison.different.values()) == 4
        assert comparison.different.keys() <= {"length limit", "length penalty", "search"}
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "model.bin",
        "config.json",
        "export.json",
        "README.md",
    }


def test_the_export_translates_by_itself(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    """As a program does that knows nothing of nmt: it forbids no piece and cuts no line."""
    system = make_system("pre_norm")
    export_system(CTranslate2Format(), system, lines, tmp_path / "out")
    translator = ctranslate2.Translator(str(tmp_path / "out"), compute_type="float32")
    line = " ".join(["seven"] * 700)
    [ids] = system.tokenizer.encode_source([line])
    assert len(ids) > 1000
    pieces = system.tokenizer.source_pieces(ids)
    count = system.tokenizer.target_size - 4  # all pieces but pad, unk, bos, and eos, which is no first piece there
    [result] = translator.translate_batch([pieces], beam_size=count, num_hypotheses=count, max_decoding_length=1)
    found = {piece for hypothesis in result.hypotheses for piece in hypothesis}
    assert len(found) == count and not {"<pad>", "<s>", "<unk>"} & found
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'source.encode("A dog runs.", out_type=str)[:59]' in readme  # the model has 60 positions, one for the end


def test_an_empty_translation_is_one_there_too(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path
) -> None:
    system = make_system("pre_norm")
    with torch.no_grad():
        system.model.vocabulary.output.bias[system.tokenizer.eos_id] += 100
    record = export_system(CTranslate2Format(), system, lines, tmp_path / "out")
    assert [comparison.same for comparison in record.verification.comparisons] == [4, 4]


def test_a_run_that_changes_during_the_export_is_not_exported(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path
) -> None:
    system = make_system("pre_norm")
    save_weights(system.model.state_dict(), system.run.best, step=2)
    with pytest.raises(Failure, match="has changed during the export"):
        export_system(CTranslate2Format(), system, lines, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_language_code_cannot_be_a_path(make_system: Callable[..., System]) -> None:
    run = make_system("pre_norm").run
    description = run.description("corpus")
    run.write_description("corpus", {**description, "arguments": description["arguments"] | {"source": "/etc/x"}})
    with pytest.raises(UserError, match=r"corpus\.json: data\.source=/etc/x is not a language code"):
        System.load(run)


def test_a_tag_is_the_first_piece(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    system = make_system("pre_norm", tags=("2de",), source_tag="2de")
    record = export_system(CTranslate2Format(), system, lines, tmp_path / "out")
    assert record.tag == "2de" and record.verification.largest_difference < 1e-4
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'pieces = (["<2de>"] + source.encode("A dog runs.", out_type=str))[:59]' in readme  # the tag is counted, too


def test_learned_positions_repeat_the_last_one(make_system: Callable[..., System]) -> None:
    positions = make_system("learned").transformer("ctranslate2").encoder.positions
    assert isinstance(positions, LearnedPositions)
    table = extend_table(positions)
    assert table.shape == (2048, 32)
    assert table[:60].equal(positions.table) and table[2047].equal(positions.table[59])


def test_the_record_is_complete(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    system = make_system("pre_norm")
    record = export_system(CTranslate2Format(), system, [*lines, "", " \t", "nine " * 80], tmp_path / "out")
    assert isinstance(record, ExportRecord)
    assert record.verification.lines == 4  # not the empty lines, nor the one with more than 59 pieces
    assert (record.format, record.source, record.target, record.step) == ("ctranslate2", "en", "de", 1)
    assert record.program == f"ctranslate2 {ctranslate2.__version__}"
    greedy, beam = record.verification.comparisons
    assert (greedy.beam_size, greedy.length_penalty, greedy.exponent) == (1, 0.0, 0.0)
    assert (beam.beam_size, beam.length_penalty, beam.exponent) == (3, 0.6, record.exponent)
    assert 0.38 < record.exponent < 0.6 * 12 / 17  # random models seldom stop before their limit of 12 tokens
