"""A comparison of four runs: the page, the Markdown text and the data, and the mistakes that it names."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.report.comparison import compare, summarize
from nmt.report.tables import cost_table, significance_table
from nmt.run.format import FORMAT

METRICS = Metrics(language="de", bleu_tokenizer="13a")
NAMES = ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"]
HOSTILE = "<script>alert('x')</script> & \"quotes\" | *stars*"

Attributes = list[tuple[str, str | None]]


class Page(HTMLParser):
    """Parses a page into its tables, its visible text and the cells of its alignment matrices."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.best: list[str] = []
        self.tags: list[str] = []
        self.open_tags: list[str] = []
        self.text = ""
        self.matrices: dict[str, dict[float, float]] = {}  # label → y of a row → sum of its weights
        self.in_matrix = ""
        self.feed(text)
        self.close()
        assert self.open_tags == [], f"never closed: {self.open_tags}"

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "input"):
            self.open_tags.append("cells" if attributes.get("class") == "cells" else tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            if attributes.get("class") == "best":
                self.best.append(self.tables[-1][-1][0])
        elif tag == "svg" and attributes.get("class") == "matrix":
            self.in_matrix = attributes["aria-label"] or ""
            self.matrices[self.in_matrix] = {}
        elif tag == "rect" and "cells" in self.open_tags:
            rows, y = self.matrices[self.in_matrix], float(attributes["y"] or "")
            rows[y] = rows.get(y, 0.0) + float(attributes["fill-opacity"] or "")

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        expected = self.open_tags.pop()
        assert expected == tag or (expected, tag) == ("cells", "g"), f"</{tag}> closes <{expected}>"

    def handle_data(self, data: str) -> None:
        if "style" in self.open_tags or "script" in self.open_tags:
            return
        self.text += data
        if self.tables and "tr" in self.open_tags and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def unchanged_runs(finished_runs: Path) -> list[Path]:
    return [finished_runs / name for name in NAMES]


@pytest.fixture(scope="module")
def out(unchanged_runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "report"
    compare(unchanged_runs, split="test", out=folder)
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return Page((out / "report.html").read_text(encoding="utf-8"))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_evaluation(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(run / "evaluation" / "test.json")
    return content


def rewrite(path: Path, **changes: Any) -> None:
    """Changes fields of a JSON file."""
    path.write_text(json.dumps({**read_json(path), **changes}), encoding="utf-8")


def replace_line(path: Path, index: int, line: str) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[index] = line
    path.write_text("\n".join(lines), encoding="utf-8")


def score_again(run: Path) -> None:
    """Writes the scores of the translations into the evaluation, after a change of its lines."""
    texts = [(run / "evaluation" / f"test.{name}.txt").read_text("utf-8").split("\n")[:-1] for name in ("hyp", "ref")]
    scores = METRICS.score(*texts)
    rewrite(run / "evaluation" / "test.json", metrics={key: vars(metric) for key, metric in scores.items()})


def test_the_page_shows_the_figures_of_every_system(unchanged_runs: list[Path], page: Page) -> None:
    runs = unchanged_runs
    quality, significance, lengths, cost, folders, sentences = page.tables
    assert [row[0] for row in quality[1:]] == NAMES
    for row, run in zip(quality[1:], runs, strict=True):
        scores = read_evaluation(run)["metrics"]
        keys = ("bleu", "chrf", "ter", "bleu_lowercase_tokenized")
        assert row[1:] == [f"{scores[key]['score']:.1f}" for key in keys]
        for key in keys:
            assert scores[key]["signature"] in page.text
    assert significance[1][1:] == [significance[1][1], "–", "–", "–", "the baseline"]
    assert [row[-1] for row in significance[2:]] == ["better"] * 3
    assert lengths[0] == ["words", "sentences", *NAMES]
    assert len(lengths) == 3
    assert sum(int(row[1]) for row in lengths[1:]) == 60
    assert [row[0] for row in sentences[1:]] == [str(index) for index in range(60)]
    assert cost[1][:4] == ["lstm", "PlainRNN", "5.12 M", "4,000"]
    assert folders[1][1] == str(runs[0])
    assert folders[1][3] == "BeamSearch(beam_size=5, length_penalty=0.6)"


def test_the_best_figures_are_marked(page: Page) -> None:
    # The Transformer is best in the four columns of quality, and on validation; in the table of lengths the first cell
    # of a row is no name.
    assert page.best.count("transformer") == 4 + 1
    assert [name for name in page.best if name not in NAMES] == [row[0] for row in page.tables[2][1:]]
    assert page.best.count("lstm_bahdanau") == 1  # the fastest decoding
    assert page.best.count("lstm") == 1  # the fastest training


def test_the_rows_of_every_alignment_matrix_sum_to_one(page: Page) -> None:
    labels = [f"alignment matrix of {name}, sentence {index}" for index in (4, 17, 33) for name in NAMES[1:]]
    assert list(page.matrices) == labels
    for rows in page.matrices.values():
        assert len(rows) >= 3
        assert list(rows.values()) == pytest.approx([1.0] * len(rows), abs=0.02)
    assert page.text.count("no attention, no matrix") == 3


def test_text_is_escaped(out: Path, page: Page) -> None:
    assert page.tags.count("script") == 2  # the attention weights, and what draws them
    for name in NAMES:
        assert page.text.count(f"{name}: {HOSTILE}") == 2  # as a sample, and in the table of all sentences
    markdown = (out / "report.md").read_text(encoding="utf-8")
    assert "<script" not in markdown.replace("\\<", "")
    assert "\\| \\*stars\\*" in markdown


def test_the_page_needs_no_network(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\bsrc=|\bhref=\"(?!#)|url\(|@import|https?:", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_has_curves_of_every_system(page: Page, out: Path) -> None:
    for title in ("BLEU by source length", "Training loss", "Validation loss", "Validation BLEU"):
        assert title in page.text
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count("<polyline") == 7 * len(NAMES)  # six learning curves and BLEU by length
    for name in NAMES:
        assert html.count(f"<title>{name}</title></polyline>") == 7


def test_the_json_equals_the_inputs(unchanged_runs: list[Path], out: Path) -> None:
    report = read_json(out / "report.json")
    assert (report["split"], report["source"], report["target"], report["sentences"]) == ("test", "en", "de", 60)
    assert report["baseline"] == "lstm"
    for system, run in zip(report["systems"], unchanged_runs, strict=True):
        given = read_evaluation(run)
        assert system["metrics"] == given["metrics"]
        assert system["decoding"] == {key: given[key] for key in system["decoding"]}
        assert system["parameters"] == read_json(run / "model.json")["parameters"]
        assert system["significance"]["bleu"] == pytest.approx(given["metrics"]["bleu"]["score"])
        records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        best = max((r for r in records if r["kind"] == "validation"), key=lambda r: r["bleu"])
        assert system["training"]["best_validation_bleu"] == best["bleu"]
        assert system["training"]["seconds"] == records[-1]["seconds"]
    assert report["samples"] == [4, 17, 33]
    assert [sentence["index"] for sentence in report["translations"]] == list(range(60))
    texts = [t["text"] for t in report["translations"][4]["translations"]]
    assert texts == [read_evaluation(run)["samples"][0]["hypothesis"] for run in unchanged_runs]
    assert report["notes"] == []


def test_the_markdown_tables_have_all_cells(out: Path) -> None:
    markdown = (out / "report.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", markdown, flags=re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        assert {len(row) for row in rows} == {len(rows[0])}
        names = rows[0][2:] if "words" in rows[0][0] else [row[0] for row in rows[2:]]
        assert [name.strip().replace("\\", "") for name in names] == NAMES
        assert all(re.fullmatch(r" :?---:? ", cell) for cell in rows[1])
    scores = read_json(out / "report.json")["systems"][3]["metrics"]
    assert f"| transformer | **{scores['bleu']['score']:.1f}** |" in tables[0]


def test_the_first_run_is_the_baseline(runs: list[Path], tmp_path: Path) -> None:
    report = compare(runs[::-1], split="test", out=tmp_path / "report")
    assert report.baseline == "transformer"
    assert [system.name for system in report.systems] == NAMES[::-1]
    assert report.systems[0].significance.p_value is None
    assert report.systems[3].significance.difference < 0
    assert "no system is above the baseline" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_one_run_can_be_reported_alone(runs: list[Path], tmp_path: Path) -> None:
    compare(runs[:1], split="test", out=tmp_path / "report")
    page = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert page.text.lstrip().startswith("Comparison on test")
    assert "1 system on test" in page.text
    assert page.best == []
    assert "± over seeds" in page.text


def test_runs_of_the_same_name_are_named_with_their_folders(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path / parent / "lstm", system=system) for parent, system in (("a", "lstm"), ("b", "transformer"))
    ]
    folders.append(make_run(tmp_path / "luong", system="lstm_luong"))
    report = compare(folders, split="test", out=tmp_path / "report")
    assert [system.name for system in report.systems] == ["a/lstm", "b/lstm", "luong"]
    with pytest.raises(UserError, match="listed twice"):
        compare([folders[0], tmp_path / "b" / ".." / "a" / "lstm"], split="test", out=tmp_path / "report")


def test_different_signatures_searches_and_devices_are_noted(runs: list[Path], tmp_path: Path) -> None:
    rewrite(runs[0] / "evaluation" / "test.json", search={"class": "GreedySearch", "arguments": {}}, device="cuda")
    scores = read_evaluation(runs[1])["metrics"]
    scores["chrf"]["signature"] = "nrefs:1|nw:2"
    rewrite(runs[1] / "evaluation" / "test.json", metrics=scores)
    report = compare(runs, split="test", out=tmp_path / "report")
    assert [re.findall("signatures|searches|devices", note)[0] for note in report.notes] == [
        "signatures",
        "searches",
        "devices",
    ]
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "lstm: GreedySearch(); lstm\\_bahdanau: BeamSearch(beam\\_size=5" in markdown
    assert "- chrF of lstm\\_bahdanau: `nrefs:1|nw:2`" in markdown


def change_history(run: Path, *, end: str | None, best_is_last: bool) -> None:
    """Changes how the training of a run ended; None is a run that was interrupted, was killed, or is still training."""
    records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    if best_is_last:
        next(record for record in reversed(records) if record["kind"] == "validation").update(bleu=99.0, best=True)
    kept = [record if record["kind"] != "end" else {**record, "reason": end} for record in records]
    lines = [json.dumps(record) + "\n" for record in kept if record["kind"] != "end" or end is not None]
    (run / "history.jsonl").write_text("".join(lines))


@pytest.mark.parametrize(
    ("end", "best_is_last", "remarks"),
    [
        ("max_steps=4000", False, []),
        ("no better score in patience=10 validations", False, []),
        ("max_minutes=1.2", False, ["that stopped by time (max_minutes): {}. A faster"]),
        (
            "max_epochs=3",
            True,
            ["that were still improving (the last validation was the best, and the learning rate was high): {}. More"],
        ),
        ("max_minutes=1.2", True, ["that stopped by time (max_minutes): {}. A", "that were still improving (the "]),
        (None, False, ["whose training has not ended, or was interrupted: {}. "]),
    ],
)
def test_training_that_was_cut_short_is_noted_everywhere(
    end: str | None, best_is_last: bool, remarks: list[str], runs: list[Path], tmp_path: Path
) -> None:
    """In the page, in Markdown, in the data, and beside the p-value of the systems that it concerns."""
    change_history(runs[3], end=end, best_is_last=best_is_last)  # the best system
    change_history(runs[2], end=end, best_is_last=best_is_last)
    report = compare(runs, split="test", out=tmp_path / "report")
    assert len(report.notes) == len(remarks)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    for note, remark in zip(report.notes, remarks, strict=True):
        assert note.startswith(f"Systems {remark.format('lstm_luong, transformer')}")
        assert note in page
        assert note in markdown
    assert read_json(tmp_path / "report" / "report.json")["notes"] == report.notes
    doubt = "part of the difference may be due to training time"
    assert (doubt in summarize(report)) == (doubt in page) == bool(remarks)
    verdicts = [row[-1].text for row in significance_table(report).rows]
    doubted = "better, perhaps due to training time" if remarks else "better"
    assert verdicts == ["the baseline", "better", doubted, doubted]


def test_a_baseline_that_was_cut_short_makes_every_difference_doubtful(runs: list[Path], tmp_path: Path) -> None:
    change_history(runs[0], end="max_minutes=5", best_is_last=False)
    report = compare(runs, split="test", out=tmp_path / "report")
    verdicts = [row[-1].text for row in significance_table(report).rows]
    assert verdicts == ["the baseline", *["better, perhaps due to training time"] * 3]
    assert "part of the difference may be due to training time" in summarize(report)


def test_a_run_that_continued_after_its_end_has_not_ended(runs: list[Path], tmp_path: Path) -> None:
    """As when max_steps was raised, and the resumed run was killed."""
    with (runs[1] / "history.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 4050, "seconds": 9000.0, "loss": 1.0}) + "\n")
    report = compare(runs, split="test", out=tmp_path / "report")
    assert [system.training and system.training.has_ended for system in report.systems] == [True, False, True, True]


def test_only_samples_of_all_runs_are_shown(runs: list[Path], tmp_path: Path) -> None:
    rewrite(runs[2] / "evaluation" / "test.json", samples=read_evaluation(runs[2])["samples"][1:])
    assert compare(runs, split="test", out=tmp_path / "report").samples == [17, 33]
    rewrite(runs[1] / "evaluation" / "test.json", samples=[])
    assert compare(runs, split="test", out=tmp_path / "report").samples == []
    assert "no sample in common" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_empty_hypotheses_and_odd_line_ends_stay_lines(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", system="lstm")
    references = (run / "evaluation" / "test.ref.txt").read_text(encoding="utf-8").split("\n")[:-1]
    hypotheses = ["", "eins\u2028zwei\x0cdrei\rvier", *references[2:-1], ""]
    (run / "evaluation" / "test.hyp.txt").write_bytes("".join(f"{line}\n" for line in hypotheses).encode())
    scores = {key: vars(metric) for key, metric in METRICS.score(hypotheses, references).items()}
    rewrite(run / "evaluation" / "test.json", metrics=scores)
    report = compare([run], split="test", out=tmp_path / "report")
    assert report.systems[0].significance.bleu == pytest.approx(scores["bleu"]["score"])


def test_right_to_left_text_and_names_leave_scores_and_full_stops_in_place(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [make_run(tmp_path / "lstm", system="lstm"), make_run(tmp_path / "نظام 2", system="transformer")]
    source, target = "הכלב רץ (מהר).", "الكلب يركض 3."
    for folder in folders:
        sample = read_evaluation(folder)["samples"][0]
        rewrite(folder / "evaluation" / "test.json", samples=[sample], source="he", target="ar")
        for name, line in (("source", source), ("ref", target), ("hyp", target)):
            replace_line(folder / "evaluation" / f"test.{name}.txt", sample["index"], line)
        score_again(folder)
    report = compare(folders, split="test", out=tmp_path / "report")
    name = "\u2068نظام 2\u2069"  # first strong isolate … pop directional isolate
    assert summarize(report).startswith(f"{name} has the highest BLEU, ")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    Page(page)
    assert f'<dd><bdi lang="he">{source}</bdi></dd>' in page
    assert f'<dd><bdi lang="ar">{target}</bdi></dd>' in page
    assert f'<dd><bdi lang="ar">{target}</bdi>\n<span class="quiet">(100.0)</span></dd>' in page
    assert page.count('<th scope="row"><bdi>نظام 2</bdi></th>') == 4  # in every table with a row per system
    assert f"<title>{name}: " in page  # on the dots of a chart
    assert f'aria-label="alignment matrix of {name}, sentence 4"' in page
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"- source: \u2068{source}\u2069\n" in markdown
    assert f"\n- {name}: \u2068{target}\u2069 (100.0)\n" in markdown
    assert markdown.count(f"\n| {name} | ") == 3


def test_names_with_strange_characters_are_shown(make_run: Callable[..., Path], tmp_path: Path) -> None:
    names = ["a\nb\x07", "<i>&amp;$_\\|", "\u202egnp.exe", "bad\udcff", "n" * 200]
    folders = [make_run(tmp_path / name, system="lstm") for name in names]
    report = compare(folders, split="test", out=tmp_path / "report")
    assert [system.name for system in report.systems] == ["a␊b␇", names[1], names[2], "bad�", names[4]]
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "<i>" not in text
    assert "\x07" not in text
    assert {row[0] for row in Page(text).tables[0][1:]} == {system.name for system in report.systems}


def spoil_references(runs: list[Path]) -> None:
    shutil.copy(runs[0] / "evaluation" / "test.hyp.txt", runs[2] / "evaluation" / "test.ref.txt")


def spoil_evaluation(runs: list[Path]) -> None:
    (runs[2] / "evaluation" / "test.json").unlink()


def spoil_score(runs: list[Path]) -> None:
    scores = read_evaluation(runs[2])["metrics"]
    scores["bleu"]["score"] += 1
    rewrite(runs[2] / "evaluation" / "test.json", metrics=scores)


def spoil_metric(runs: list[Path]) -> None:
    scores = read_evaluation(runs[2])["metrics"]
    del scores["ter"]
    rewrite(runs[2] / "evaluation" / "test.json", metrics=scores)


def spoil_lines(runs: list[Path]) -> None:
    (runs[2] / "evaluation" / "test.hyp.txt").write_text("one line\n", encoding="utf-8")


def spoil_language(runs: list[Path]) -> None:
    rewrite(runs[2] / "evaluation" / "test.json", target="fr")


def spoil_attention(runs: list[Path]) -> None:
    samples = read_evaluation(runs[2])["samples"]
    samples[0]["attention"].pop()
    rewrite(runs[2] / "evaluation" / "test.json", samples=samples)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_references, r"runs/lstm and \S*runs/lstm_luong were evaluated on different references for test"),
        (spoil_evaluation, r"test\.json is missing: call `nmt evaluate run=\S*runs/lstm_luong split=test` first"),
        (spoil_score, r"lstm_luong: evaluation/test\.json says BLEU .* but test\.hyp\.txt scores"),
        (spoil_metric, r"test\.json is damaged: Object missing required field `ter` - at `\$\.metrics`"),
        (spoil_lines, r"is about 60 sentences, but test\.hyp\.txt has 1: call `nmt evaluate"),
        (spoil_attention, r"lstm_luong: sentence 4 of test: the attention weights are"),
        (lambda runs: rewrite(runs[2] / "model.json", format=FORMAT + 1), r"model\.json has format \d, this program"),
        (lambda runs: (runs[2] / "model.json").write_text("{}"), r"model\.json is damaged: Object missing"),
        (lambda runs: (runs[2] / "model.json").write_text("{"), r"model\.json is damaged"),
        (spoil_language, r"different target languages, de and fr"),
        (lambda runs: shutil.rmtree(runs[2]), r"lstm_luong is not a folder"),
        (lambda runs: runs.clear(), r"nothing to compare"),
    ],
)  # fmt: skip
def test_mistakes_are_named_and_nothing_is_written(
    runs: list[Path], tmp_path: Path, spoil: Callable[[list[Path]], object], message: str
) -> None:
    spoil(runs)
    with pytest.raises(UserError, match=message) as error:
        compare(runs, split="test", out=tmp_path / "report")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "report").exists()


def test_out_must_not_be_a_file(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match="is a file: out= names the folder"):
        compare(runs, split="test", out=tmp_path / "report.html")


def test_a_file_of_translations_is_scored_like_the_run_that_wrote_it(runs: list[Path], tmp_path: Path) -> None:
    """The translations of a run, given as another program's: the same scores, and nothing that only a run has."""
    file = tmp_path / "other.de"
    shutil.copy(runs[1] / "evaluation" / "test.hyp.txt", file)
    report = compare([*runs[:2], file], split="test", out=tmp_path / "report", names=["small", "large", "Other"])
    run, other = report.systems[1:]
    assert [system.name for system in report.systems] == ["small", "large", "Other"]
    assert other.path == str(file)
    assert other.metrics == run.metrics
    assert other.significance == run.significance
    assert (other.training, other.decoding, other.parameters, other.alignment) == (None, None, None, None)
    assert not any("Other" in note for note in report.notes)
    assert [each.text for sentence in report.translations for each in sentence.translations[1:2]] == [
        each.text for sentence in report.translations for each in sentence.translations[2:]
    ]
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert str(file) in page
    cost = next(row for row in cost_table(report).rows if row[0].text == "Other")
    assert [cell.text for cell in cost[1:]] == ["another program", *["–"] * 9]


def test_a_file_of_translations_can_be_the_baseline(runs: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "other.de"
    shutil.copy(runs[1] / "evaluation" / "test.hyp.txt", file)
    report = compare([file, runs[1]], split="test", out=tmp_path / "report")
    assert report.baseline == "other.de"
    assert report.systems[1].significance.difference == 0.0
    assert "no system is above the baseline" in summarize(report)
