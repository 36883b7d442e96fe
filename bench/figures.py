"""From samples to figures: medians of ratios within rounds, what was promised, and whether the run means anything."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

from sample import Cell, Sample
from targets import ERAS, NAMES, NPM

UPSTREAM_AT_LEAST = 3.0
"""How many times nginx the upstream must reach by itself: in answers a second when it is asked from the other core, or,
since that needs both cores undisturbed, in answers for a second of CPU."""
NGINX_BUSY = 0.85
"""How busy nginx must have kept its core where connections suffice: else something else was what we measured."""


class Spread(NamedTuple):
    """A median over rounds, between the smallest and the largest."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.least:.3g}-{self.most:.3g}]"


class Figures(dict[tuple[Cell, str], list[Sample]]):
    """All samples, by cell and target: one for each round, in order."""

    def add(self, cell: Cell, name: str, sample: Sample) -> None:
        self.setdefault((cell, name), []).append(sample)

    def has(self, cell: Cell, *names: str) -> bool:
        return all((cell, name) in self for name in names)

    def of(self, cell: Cell, name: str, what: Callable[[Sample], float]) -> Spread:
        return _spread([what(sample) for sample in self[cell, name]])

    def wrong(self, name: str) -> int:
        return sum(sample.wrong for (_, of), samples in self.items() if of == name for sample in samples)

    def ratio(self, cell: Cell, name: str, to: str, what: Callable[[Sample], float] | None = None) -> Spread:
        """Of requests per second, unless something else is asked for. A round without one of the two is left out."""
        of = what or (lambda sample: sample.rps)
        pairs = zip(self[cell, name], self[cell, to], strict=True)
        return _spread([of(one) / of(other) for one, other in pairs if of(other)])

    def added(self, cell: Cell, name: str) -> Spread:
        """Milliseconds of p50 over direct."""
        pairs = zip(self[cell, name], self[cell, "direct"], strict=True)
        return _spread([one.p50_ms - other.p50_ms for one, other in pairs])


class Limit(NamedTuple):
    """One promise: the median of ``figure`` must be at least, or at most, ``bound``."""

    title: str
    figure: Spread
    bound: float
    at_least: bool = True

    @property
    def held(self) -> bool:
        return self.figure.median >= self.bound if self.at_least else self.figure.median <= self.bound


def judge(figures: Figures) -> list[Limit]:
    """Every promise that can be judged by what was measured, and that no answer of Doorward was wrong."""
    limits = []
    for era in ERAS:
        limits += list(_against_nginx(figures, era))
        one = Cell(era, 200, 1)
        if figures.has(one, "doorward", "direct"):
            limits.append(Limit(f"{one}: p50 added, ms", figures.added(one, "doorward"), 1.0, at_least=False))
    some = Cell("legacy", 200, 16)
    npm = [name for name in NPM if figures.has(some, "doorward", name)]
    if npm:
        faster = max(npm, key=lambda name: figures.of(some, name, lambda sample: sample.rps).median)
        limits.append(Limit(f"{some}: rps / {faster}", figures.ratio(some, "doorward", faster), 3.0))
    if figures.has(some, "doorward", "fastmcp"):
        limits.append(Limit(f"{some}: rps / fastmcp", figures.ratio(some, "doorward", "fastmcp"), 20.0))
    if any(name == "doorward" for _, name in figures):
        wrong = float(figures.wrong("doorward"))
        limits.append(Limit("wrong answers", Spread(wrong, wrong, wrong), 0.0, at_least=False))
    return limits


def _against_nginx(figures: Figures, era: str) -> list[Limit]:
    bounds = {Cell(era, 200, 16): 0.10, Cell(era, 200, 64): 0.12, Cell(era, 65536, 16): 0.10}
    return [
        Limit(f"{cell}: rps / nginx", figures.ratio(cell, "doorward", "nginx"), bound)
        for cell, bound in bounds.items()
        if figures.has(cell, "doorward", "nginx")
    ]


def reasons_void(figures: Figures) -> list[str]:
    """Why nothing here means anything: what we compare with lied, was held up by others, or the upstream is too slow.

    With one connection everything waits for everything, so there is nothing to be faster at. With 64 KiB the kernel's
    copies are most of the work on both sides; there it counts only that nginx was at its own limit.
    """
    reasons = [
        f"{figures.wrong(name)} wrong answers of {name}" for name in ("alone", "direct", "nginx") if figures.wrong(name)
    ]
    for cell in [cell for cell, name in figures if name == "nginx" and cell.connections > 1]:
        reached = figures.ratio(cell, "alone", "nginx"), figures.ratio(cell, "nginx", "direct", lambda s: s.cpu_us)
        if cell.size == 200 and max(spread.median for spread in reached) < UPSTREAM_AT_LEAST:
            told = f"{reached[0]} times nginx, by CPU {reached[1]}"
            reasons.append(f"{cell}: the upstream reaches {told}, not {UPSTREAM_AT_LEAST:g}")
        busy = figures.of(cell, "nginx", lambda sample: sample.busy)
        if busy.median < NGINX_BUSY:
            reasons.append(f"{cell}: nginx kept its core busy for {busy} of the time, not {NGINX_BUSY:g}")
    return reasons


def show(figures: Figures, limits: list[Limit], weights: dict[str, tuple[float, str]]) -> None:
    for cell in dict.fromkeys(cell for cell, _ in figures):
        print(f"\n{cell}")
        columns = ("rps", "p50 ms", "p99 ms", "cpu us", "others %", "memory MB", "rps / nginx", "cpu / nginx")
        print(f"  {'':<13}" + "".join(f"{title:>10}" for title in columns[:6]), *columns[6:], sep="  ")
        for name in NAMES:
            if figures.has(cell, name):
                print(f"  {name:<13}{_row(figures, cell, name, weights)}")
    print()
    for limit in limits:
        verdict = "held" if limit.held else "MISSED"
        bound = f"{'at least' if limit.at_least else 'at most'} {limit.bound:g}"
        print(f"{limit.title:<48} {limit.figure!s:>28}   {bound:<14} {verdict}")
    for name in dict.fromkeys(name for _, name in figures):
        if count := figures.wrong(name):
            first = next(s.complaint for (_, of), found in figures.items() if of == name for s in found if s.wrong)
            print(f"wrong answers of {name}: {count}, the first: {first}")


def _row(figures: Figures, cell: Cell, name: str, weights: dict[str, tuple[float, str]]) -> str:
    plain: tuple[Callable[[Sample], float], ...] = (
        lambda sample: sample.rps,
        lambda sample: sample.p50_ms,
        lambda sample: sample.p99_ms,
        lambda sample: sample.cpu_us,
        lambda sample: sample.foreign * 100,
    )
    words = "".join(f"{figures.of(cell, name, what).median:>10.4g}" for what in plain)
    size, kind = weights.get(name, (0.0, ""))
    words += f"{f'{size:.0f} {kind}' if kind else '':>10}"
    if name != "nginx" and figures.has(cell, "nginx"):
        words += f"  {figures.ratio(cell, name, 'nginx')}"
        if name != "alone":
            words += f"  {figures.ratio(cell, name, 'nginx', lambda sample: sample.cpu_us)}"
    return words


def _spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values)) if values else Spread(0.0, 0.0, 0.0)
