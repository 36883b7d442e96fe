"""What looking at the content of one message costs, by kind of text: CPU microseconds of decoding and of the masks.

``words`` is prose; ``settings`` is text full of names that could announce a secret and do not, the worst that honest
content comes to. Each figure is the least of several runs. It asserts that the two engines of the quick look agree
where it matters (what is masked is seen by both), and no time.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from typing import Final

import relay as calls
from doorward.content import quick
from doorward.content.redaction import Masker
from doorward.wire.jsonrpc import count_values, decode

RUNS: Final = 7
COLUMNS: Final = ("decode", "count", "look", "shapes", "by re", "mask")


def settings(size: int) -> str:
    draw = random.Random(6)
    blocks = [
        f"service_{draw.randint(1, 99)}:\n  key: column{draw.randint(1, 9)}\n  max_tokens: {draw.randint(1, 9999)}\n"
        f"  url: https://example.org/{draw.randint(1, 99)}?sort=key\n  primary_key = id\n  author = ada\n"
        for _ in range(size // 100 + 1)
    ]
    return "".join(blocks)[:size]


TEXTS: Final[dict[str, Callable[[int], str]]] = {**calls.TEXTS, "settings": settings}


def least(work: Callable[[], object], times: int) -> float:
    """CPU microseconds of ``work``."""
    found = []
    for _ in range(RUNS):
        began = time.process_time_ns()
        for _ in range(times):
            work()
        found.append((time.process_time_ns() - began) / times / 1e3)
    return min(found)


def figures(masker: Masker, frame: bytes, text: str, times: int) -> list[float]:
    assert decode(frame, calls.LIMITS).body == frame
    if masker.mask_text(text)[1]:
        assert quick.by_patterns(frame, names=True)
        assert quick.by_automaton(frame, names=True)
    return [
        least(lambda: decode(frame, calls.LIMITS), times),
        least(lambda: count_values(frame), times),
        least(lambda: quick.by_automaton(frame, names=True), times),
        least(lambda: quick.by_automaton(frame, names=False), times),
        least(lambda: quick.by_patterns(frame, names=True), times),
        least(lambda: masker.mask_text(text), times),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", action="append", choices=sorted(TEXTS), help="only this kind of text")
    kinds = parser.parse_args().kind or list(TEXTS)
    masker = Masker(b"k" * 32)
    link = calls.Link()
    print(f"{'CPU µs':<22}" + "".join(f"{name:>9}" for name in COLUMNS))
    for size, times in ((calls.SMALL // 2, 1000), (calls.LARGE, 10)):
        for kind in kinds:
            text = calls.cut(TEXTS[kind](size), size)
            frame, _, _ = link.frames(text, "")
            measured = figures(masker, frame, text, times)
            print(f"{kind + ', ' + str(size):<22}" + "".join(f"{figure:>9.1f}" for figure in measured))
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
