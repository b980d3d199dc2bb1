"""Compares ways of reading word links from the attention of trained runs, and eflomal.

    python scripts/alignment_methods.py runs/grammar/transformer-seed1 runs/grammar/lstm_luong-seed1
    pip install eflomal
    python scripts/alignment_methods.py --eflomal runs/grammar/transformer-seed1

For each run, each choice of rows and each method, the layer and head with the lowest alignment error rate on val are
applied to test. With --eflomal, eflomal (https://github.com/robertostling/eflomal, GPL) is trained on the text of
train, val and test of the run's corpus instead. Only this script needs it. The links of its two directions are combined
in the same ways.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nmt.alignment.choice import try_extractions
from nmt.alignment.extraction import Extraction
from nmt.alignment.quality import LinkCounts, count_links
from nmt.alignment.symmetrization import SYMMETRIZATIONS
from nmt.alignment.word_attention import WordAttention, attend_words
from nmt.data.corpus import Corpus
from nmt.data.gold_links import read_gold
from nmt.data.pharaoh import GoldLinks, Link, parse_links
from nmt.run import RunFolder
from nmt.translator import Translator


def format_counts(counts: LinkCounts) -> str:
    """Error rate, precision and recall in percent, as cells of a table."""
    values = (counts.error_rate, counts.precision, counts.recall)
    return " | ".join(f"{100 * value:.2f}" for value in values)


def measure_run(path: Path, splits: tuple[str, str]) -> None:
    """Prints a table: for each choice of rows and each method, the best layer and head on the first split, and the
    errors on the second one."""
    run = RunFolder.open(path)
    translator, corpus = Translator.load(run, device="cpu"), run.corpus()
    attention: list[Sequence[WordAttention]] = []
    gold: list[list[GoldLinks]] = []
    for split in splits:
        pairs = corpus.split(split)
        lines = list(zip(pairs["source"], pairs["target"], strict=True))
        attention.append(attend_words(translator, lines, split=corpus.words, layer=None, warn=None))
        gold.append(read_gold(pairs, split))
    results = [
        {extraction: count_links(zip(links, gold[number], strict=True)) for extraction, links in found}
        for number, found in enumerate(map(try_extractions, attention))
    ]
    best: dict[tuple[str, str], Extraction] = {}
    for extraction, counts in results[0].items():
        key = (extraction.rows, extraction.method)
        if key not in best or counts.error_rate < results[0][best[key]].error_rate:
            best[key] = extraction
    print(
        f"\n{path.name}\n\n| rows | method | layer | head | AER, {splits[0]} | AER, {splits[1]} | precision | recall |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (rows, method), extraction in best.items():
        layer, head = ("mean" if number is None else number for number in (extraction.layer, extraction.head))
        validation, test = (result[extraction] for result in results)
        print(
            f"| {rows} | {method} | {layer} | {head} | {100 * validation.error_rate:.2f} | {format_counts(test)} |",
            flush=True,
        )


def measure_eflomal(corpus: Corpus, split: str) -> None:
    """Trains eflomal on train, val and test, and prints its errors on one split."""
    import eflomal

    names = ["train", "val", "test"]
    splits = {name: corpus.split(name) for name in names}
    before = sum(len(splits[name]) for name in names[: names.index(split)])  # pairs before those of the split
    with tempfile.TemporaryDirectory() as temporary:
        # 1. Write the words of all splits into one file per side.
        folder = Path(temporary)
        for side in ("source", "target"):
            lines = (line for name in names for line in splits[name][side])
            words = (" ".join(line[start:end] for start, end in corpus.words(line)) for line in lines)
            (folder / side).write_text("".join(line + "\n" for line in words), encoding="utf-8")

        # 2. Align them in both directions, and read the links of the split.
        with (folder / "source").open(encoding="utf-8") as source, (folder / "target").open(encoding="utf-8") as target:
            eflomal.Aligner().align(
                source, target, links_filename_fwd=str(folder / "fwd"), links_filename_rev=str(folder / "rev")
            )
        forward, backward = (
            [
                set(parse_links(line, location=direction).sure)
                for line in (folder / direction).read_text().splitlines()[before : before + len(splits[split])]
            ]
            for direction in ("fwd", "rev")
        )

    # 3. Combine the two directions, and count the errors.
    gold = read_gold(splits[split], split)
    links: dict[str, list[set[Link]]] = {
        "forward": forward,
        "backward": backward,
        **{name: list(map(combine, forward, backward)) for name, combine in SYMMETRIZATIONS.items()},
    }
    print(f"\neflomal\n\n| method | AER, {split} | precision | recall |\n| --- | ---: | ---: | ---: |")
    for method, found in links.items():
        print(f"| {method} | {format_counts(count_links(zip(found, gold, strict=True)))} |")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of models with attention")
    parser.add_argument("--eflomal", action="store_true", help="measure eflomal on the corpus of the first run instead")
    arguments = parser.parse_args()
    if arguments.eflomal:
        measure_eflomal(RunFolder.open(arguments.runs[0]).corpus(), "test")
        return
    for path in arguments.runs:
        measure_run(path, ("val", "test"))


if __name__ == "__main__":
    main()
