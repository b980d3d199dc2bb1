#!/usr/bin/env python
"""Measures how `nmt explore` serves many clients: the record in docs/results/explore.md.

    python scripts/explore_load.py RUN LINES [ADDRESS SOURCE TARGET]

16 clients send the lines of a file as 2,000 requests of one line each. This happens in rounds, in turn with the plain
alternative: a process that translates every fourth of the same lines, one by one. All requests must be answered. The
answers are compared too: a batch may add numbers in another order, so lines with nearly equal candidates may differ.

ADDRESS is a LibreTranslate server for the same languages. It gets the same requests in the same rounds.

The CPU time of both processes is compared as well, since it hardly depends on what else the machine does. Linux only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

NUM_REQUESTS, NUM_CLIENTS, NUM_ROUNDS = 2_000, 16, 5
SAMPLE = slice(None, None, 4)
"""The lines of a round that are also translated one by one, which takes longer."""

SERVED = "nmt explore"

SETTINGS = ["device=cpu", "threads=1"]

ONE_BY_ONE = """
import sys
import torch
from nmt import Translator

torch.set_num_threads(1)
translator = Translator.load(sys.argv[1], device="cpu")
for line in sys.stdin:
    print(translator.translate([line.rstrip("\\n")])[0].text, flush=True)
"""
"""The plain alternative: reads a line, and writes its translation before it reads the next one."""


class Process:
    """A process that translates, and the processor time that it has used."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()


def send_all(address: str, lines: list[str], **fields: str) -> list[tuple[str, float]]:
    """The translation of each line by one of LibreTranslate's calls, and the seconds until it arrived.

    Each of the clients keeps its connection, and sends its next request when it has the answer to its last one.

    Args:
        fields: of every request, besides the line.
    """
    own = local()

    def connect() -> None:
        own.connection = HTTPConnection(urlsplit(address).netloc)

    def send(line: str) -> tuple[str, float]:
        start = time.perf_counter()
        body = json.dumps({"q": line, **fields})
        own.connection.request("POST", "/translate", body, {"content-type": "application/json"})
        response = own.connection.getresponse()
        content = json.load(response)
        assert response.status == 200, content
        return content["translatedText"], time.perf_counter() - start

    with ThreadPoolExecutor(NUM_CLIENTS, initializer=connect) as clients:
        return list(clients.map(send, lines))


def translate_one_by_one(plain: Process, lines: list[str]) -> list[tuple[str, float]]:
    """The translation of each line by the plain alternative, and its seconds."""
    results = []
    for line in lines:
        start = time.perf_counter()
        print(line, file=plain.stdin, flush=True)
        results.append((plain.stdout.readline().rstrip("\n"), time.perf_counter() - start))
    return results


def main() -> None:
    if len(sys.argv) not in (3, 6):
        sys.exit("usage: python scripts/explore_load.py RUN LINES [ADDRESS SOURCE TARGET]")
    run, path, *other = sys.argv[1:]
    lines = list(islice(cycle(Path(path).read_text(encoding="utf-8").splitlines()), NUM_REQUESTS))
    with (
        Process("-m", "nmt", "explore", f"run={run}", "port=0", *SETTINGS) as server,
        Process("-c", ONE_BY_ONE, run) as plain,
    ):
        measure(server, plain, lines, other)


def measure(server: Process, plain: Process, lines: list[str], other: list[str]) -> None:
    """Translates all lines in each way in turn, and prints the results."""
    address = server.stdout.readline().strip()
    [system] = read_json(f"{address}api/systems")
    ways: dict[str, Callable[[list[str]], list[tuple[str, float]]]] = {
        SERVED: lambda part: send_all(address, part, source=system["source"], target=system["target"]),
        "one by one": lambda part: translate_one_by_one(plain, part[SAMPLE]),
    }
    if other:
        ways["the other server"] = lambda part: send_all(other[0], part, source=other[1], target=other[2])
    for translate in ways.values():
        translate(lines[:1])  # all have now loaded their model
    answers: dict[str, list[tuple[str, float]]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    num_different = 0
    start_cpu = server.cpu_seconds(), plain.cpu_seconds()
    for number in range(NUM_ROUNDS):
        found = {}
        for name, translate in ways.items():
            start = time.perf_counter()
            found[name] = translate(lines[number::NUM_ROUNDS])
            rates[name].append(len(found[name]) / (time.perf_counter() - start))
            answers[name] += found[name]
        pairs = zip(found[SERVED][SAMPLE], found["one by one"], strict=True)
        num_different += sum(text != expected for (text, _), (expected, _) in pairs)
        print(f"round {number + 1} of {NUM_ROUNDS}", file=sys.stderr)
    end_cpu = server.cpu_seconds(), plain.cpu_seconds()
    for name, own in rates.items():
        percentiles = statistics.quantiles([1000 * seconds for _, seconds in answers[name]], n=100)
        ratios = [served / each for served, each in zip(rates[SERVED], own, strict=True)]
        print(
            f"{name}: {len(answers[name]):,} answers, {statistics.median(own):.1f} a second; "
            f"p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms; "
            f"{SERVED} gives {statistics.median(ratios):.2f} times as many ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print(f"translations that differ from one by one: {num_different} of {len(answers['one by one'])}")
    served, alone = (1000 * (end - start) for start, end in zip(start_cpu, end_cpu, strict=True))
    print(f"CPU time of a line: {served / len(lines):.1f} ms, one by one {alone / len(answers['one by one']):.1f} ms")


def read_json(address: str) -> Any:
    """The answer to a GET request."""
    with urlopen(address) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
