#!/usr/bin/env python
"""Measures how `nmt explore` serves many clients: the record in docs/results/explore.md.

    python scripts/explore_load.py RUN LINES

16 clients send the lines of a file as 2,000 requests of one line each. This happens in rounds, in turn with the plain
alternative: a process that translates every fourth of the same lines, one by one. All requests must be answered. The
answers are compared too: a batch may add numbers in another order, so lines with nearly equal candidates may differ.

The CPU time of both processes is compared as well, since it hardly depends on what else the machine does. Linux only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from threading import local
from urllib.parse import urlsplit

NUM_REQUESTS, NUM_CLIENTS, NUM_ROUNDS = 2_000, 16, 5
SAMPLE = slice(None, None, 4)
"""The lines of a round that are also translated one by one, which takes longer."""

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


def send_all(address: str, system: str, lines: list[str]) -> list[tuple[str, float]]:
    """The translation of each line, and the seconds until it arrived.

    Each of the clients keeps its connection, and sends its next request when it has the answer to its last one.
    """
    own = local()

    def connect() -> None:
        own.connection = HTTPConnection(urlsplit(address).netloc)

    def send(line: str) -> tuple[str, float]:
        start = time.perf_counter()
        body = json.dumps({"system": system, "text": line})
        own.connection.request("POST", "/api/translate", body, {"content-type": "application/json"})
        response = own.connection.getresponse()
        content = json.load(response)
        assert response.status == 200, content
        return content["translations"][0][0]["text"], time.perf_counter() - start

    with ThreadPoolExecutor(NUM_CLIENTS, initializer=connect) as clients:
        return list(clients.map(send, lines))


def translate_one_by_one(plain: Process, lines: list[str]) -> list[str]:
    """The translation of each line by the plain alternative."""
    texts = []
    for line in lines:
        print(line, file=plain.stdin, flush=True)
        texts.append(plain.stdout.readline().rstrip("\n"))
    return texts


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/explore_load.py RUN LINES")
    run, path = sys.argv[1:]
    lines = list(islice(cycle(Path(path).read_text(encoding="utf-8").splitlines()), NUM_REQUESTS))
    with (
        Process("-m", "nmt", "explore", f"run={run}", "port=0", *SETTINGS) as server,
        Process("-c", ONE_BY_ONE, run) as plain,
    ):
        measure(server, plain, Path(run).name, lines)


def measure(server: Process, plain: Process, system: str, lines: list[str]) -> None:
    """Translates all lines in both ways, and prints the results."""
    address = server.stdout.readline().strip()
    translate_one_by_one(plain, lines[:1])  # both have now loaded their model
    latencies, served_rates, plain_rates, num_plain, num_different = [], [], [], 0, 0
    start_cpu = server.cpu_seconds(), plain.cpu_seconds()
    for number in range(NUM_ROUNDS):
        part = lines[number::NUM_ROUNDS]
        start = time.perf_counter()
        answers = send_all(address, system, part)
        served_rates.append(len(part) / (time.perf_counter() - start))
        start = time.perf_counter()
        expected = translate_one_by_one(plain, part[SAMPLE])
        plain_rates.append(len(expected) / (time.perf_counter() - start))
        num_plain += len(expected)
        latencies += [seconds for _, seconds in answers]
        num_different += sum(text != other for (text, _), other in zip(answers[SAMPLE], expected, strict=True))
        print(f"round {number + 1}: {served_rates[-1]:.1f} and {plain_rates[-1]:.1f} lines a second", file=sys.stderr)
    end_cpu = server.cpu_seconds(), plain.cpu_seconds()
    percentiles = statistics.quantiles(latencies, n=100)
    ratios = [served / alone for served, alone in zip(served_rates, plain_rates, strict=True)]
    seconds = [end - start for start, end in zip(start_cpu, end_cpu, strict=True)]
    print(f"requests answered: {len(latencies):,} of {len(lines):,}")
    print(f"translations that differ from one by one: {num_different} of {num_plain}")
    print(f"latency: p50 {1000 * percentiles[49]:.0f} ms, p99 {1000 * percentiles[98]:.0f} ms")
    print(f"requests a second: {statistics.median(served_rates):.1f}, one by one {statistics.median(plain_rates):.1f}")
    print(f"ratio by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {statistics.median(ratios):.2f}")
    served, alone = 1000 * seconds[0] / len(lines), 1000 * seconds[1] / num_plain
    print(f"CPU time a request: {served:.1f} ms, one by one {alone:.1f} ms")


if __name__ == "__main__":
    main()
