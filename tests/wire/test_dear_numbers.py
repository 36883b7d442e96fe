"""Numbers that take long to read are read another way where there are thousands, and are the same numbers."""

from __future__ import annotations

import time

import msgspec
import pytest

from doorward.errors import MalformedMessageError
from doorward.wire.jsonrpc import FrameLimits, decode

LIMITS = FrameLimits(max_bytes=16 << 20, max_nodes=100_000)
ODD = (
    "1e308",
    "1.7976931348623157E+308",
    "4.9406564584124654e-324",
    "2.2250738585072011e-308",
    "-1e-320",
    "1e-400",
    "-0.0",
)
FEW, MANY = 10, 3_000


def frame(numbers: list[str]) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"result":{"a":[' + ",".join(numbers).encode() + b"]}}"


@pytest.mark.parametrize("filler", ["1e300", "1.5e-310", "9E+0299"])
def test_they_are_the_same_numbers_however_many_there_are(filler: str) -> None:
    few = decode(frame([*ODD, *[filler] * FEW, "7", "12345678901234567890"]), LIMITS)
    many = decode(frame([*ODD, *[filler] * MANY, "7", "12345678901234567890"]), LIMITS)
    assert few.message.result is not None  # type: ignore[union-attr]  # it is a response
    numbers = many.message.result["a"]  # type: ignore[union-attr,index]  # as above
    assert numbers[: len(ODD)] == [float(one) for one in ODD]
    assert [type(one) for one in numbers[-2:]] == [int, int]
    assert numbers[:8] == few.message.result["a"][:8]  # type: ignore[union-attr]  # as above
    assert msgspec.json.decode(many.body)["result"]["a"] == numbers


@pytest.mark.parametrize("count", [FEW, MANY])
def test_one_that_is_out_of_range_is_refused_however_many_there_are(count: int) -> None:
    with pytest.raises(MalformedMessageError) as found:
        decode(frame([*["1e300"] * count, "1e309"]), LIMITS)
    assert found.value.rule == "number-range"


@pytest.mark.parametrize("end", ["", ",1e309", ",}"])
def test_a_hundred_thousand_are_read_in_time(end: str) -> None:
    body = frame(["1e300"] * 99_000)[: -len("]}}")] + end.encode() + b"]}}"
    start = time.thread_time()
    if end:
        with pytest.raises(MalformedMessageError):
            decode(body, LIMITS)
    else:
        decode(body, LIMITS)
    assert time.thread_time() - start < 0.5  # a second and more before, twice that for what is wrong at its end


@pytest.mark.parametrize("before", range(31))
def test_as_many_digits_as_a_double_can_have_are_carried_and_one_more_is_refused(before: int) -> None:
    spaces = " " * before
    largest = "9" * 309
    body = frame([spaces + largest, "0." + largest, f'"{largest}{largest}\\"{largest}"'])
    read = msgspec.json.decode(decode(body, LIMITS).body)
    assert read["result"]["a"] == [int(largest), 1.0, f'{largest}{largest}"{largest}']
    for number in ("1" * 310, "0." + "1" * 310, "1e-" + "0" * 310):
        with pytest.raises(MalformedMessageError) as found:
            decode(frame([f'"{largest}1"', spaces + number]), LIMITS)
        assert found.value.rule == "number-range"
