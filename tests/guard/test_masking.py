"""A secret does not reach a log, by whatever part of a record it comes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from doorward.guard import MaskingFilter, MaskingProcessor, mask_logs, masker

SECRET = "hunter2-of-the-server"
SHAPED = "ghp_" + "a1B2" * 9


class Logged(logging.Logger):
    """A logger of its own, whose one handler writes into a text, everything that was added as JSON behind it."""

    def __init__(self) -> None:
        super().__init__("server")
        self.written = io.StringIO()
        handler = logging.StreamHandler(self.written)
        handler.setFormatter(WithWhatWasAdded("%(levelname)s %(message)s"))
        self.addHandler(handler)

    @property
    def text(self) -> str:
        return self.written.getvalue()


class WithWhatWasAdded(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        added = {name: value for name, value in vars(record).items() if name in ("apiKey", "request", "note")}
        return super().format(record) + json.dumps(added, ensure_ascii=False)


@pytest.fixture
def log() -> Logged:
    logger = Logged()
    mask_logs([SECRET], logger)
    return logger


class Revealing:
    def __repr__(self) -> str:
        return f"Revealing(password={SECRET})"


def test_a_secret_is_masked_in_message_arguments_and_objects(log: Logged) -> None:
    log.info("token is %s", SHAPED)
    log.info(f"apiKey={SHAPED}")  # noqa: G004 - what careless code does
    log.info("the value %s in %r", SECRET, Revealing())
    log.info({"password": "opensesame", "n": 1})
    for secret in (SECRET, SHAPED, "opensesame"):
        assert secret not in log.text
    assert log.text.count("\u2039masked:") >= 4


def test_a_secret_is_masked_in_an_exception_and_a_stack(log: Logged) -> None:
    try:
        raise ValueError(f"cannot log in with {SECRET}")
    except ValueError:
        log.exception("failed")
        log.warning("again", exc_info=True, stack_info=True)
    assert SECRET not in log.text
    assert log.text.count("Traceback") == 2
    assert "Stack (most recent call last)" in log.text


def test_a_secret_is_masked_in_what_was_added(log: Logged) -> None:
    log.info("call", extra={"apiKey": "anything", "request": {"authorization": "Bearer abc.def"}, "note": Revealing()})
    assert "anything" not in log.text
    assert "abc.def" not in log.text
    assert SECRET not in log.text


def test_what_cannot_be_formatted_is_left_out_and_said(log: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("%d", SECRET)
    assert log.text.startswith("INFO a message that could not be formatted was left out")
    assert capsys.readouterr().err == ""  # logging's own complaint would show the arguments


def test_a_record_without_a_secret_is_written_as_it_was(log: Logged) -> None:
    log.info("read %d bytes of %s", 12, "notes.txt")
    assert log.text == "INFO read 12 bytes of notes.txt{}\n"


def test_the_same_value_has_the_same_mask_in_one_process(log: Logged) -> None:
    log.info("a %s", SECRET)
    log.info("b %s", SECRET)
    first, second = log.text.splitlines()
    assert first[7:] == second[7:]
    assert masker().fingerprint("x") != masker().fingerprint("x")


def test_asking_again_replaces_the_filter() -> None:
    logger = Logged()
    mask_logs([SECRET], logger)
    second = mask_logs(["another-secret"], logger)
    assert logger.handlers[0].filters == [second]
    assert isinstance(second, MaskingFilter)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    target = io.StringIO()
    structlog.configure(
        processors=[MaskingProcessor([SECRET]), structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    yield target
    structlog.reset_defaults()


def test_structlog_writes_no_secret_either(written: io.StringIO) -> None:
    log = structlog.get_logger()
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        log.info("a", apiKey="anything", deep=[{"password": "opensesame"}], shown=Revealing(), error=error)
        log.exception("b")
        log.info("c", exc_info=error)
    log.info("d", user="ann", count=3, flag=True, nothing=None)
    for secret in (SECRET, "anything", "opensesame"):
        assert secret not in written.getvalue()
    lines: list[dict[str, Any]] = [json.loads(line) for line in written.getvalue().splitlines()]
    assert "Traceback" in lines[1]["exception"]
    assert "Traceback" in lines[2]["exception"]
    assert lines[3] == {"event": "d", "user": "ann", "count": 3, "flag": True, "nothing": None}


def test_a_value_that_holds_itself_ends(written: io.StringIO) -> None:
    circle: list[Any] = [SECRET]
    circle += [circle, circle]
    structlog.get_logger().info("a", circle=circle)
    assert SECRET not in written.getvalue()


def test_a_name_that_was_added_to_a_record_and_is_a_secret_does_not_stay() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "hello", (), None)
    vars(record).update({SECRET: 1, "user": "ann", "deep": {SECRET: 2}})
    assert MaskingFilter([SECRET]).filter(record)
    assert SECRET not in str(vars(record))
    assert vars(record)["user"] == "ann"


def test_what_is_logged_while_a_filter_is_exchanged_is_masked() -> None:
    shown: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

        def removeFilter(self, filter: Any) -> None:  # noqa: A002, N802 - as logging names them
            super().removeFilter(filter)
            logger.warning("it is %s", SECRET)  # as another thread would in this moment

    logger = logging.getLogger("exchanged")
    logger.addHandler(Handler())
    mask_logs([SECRET], logger)
    mask_logs([SECRET, "another secret"], logger)
    assert len(shown) == 1
    assert SECRET not in shown[0]


@pytest.mark.parametrize("secret", ['pa"ss\\word', "pässwörd", "pass/wörd&more", "two\nlines"])
def test_a_known_secret_is_masked_as_json_python_and_urls_write_it(secret: str) -> None:
    using = masker([secret])
    written = [
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        repr(secret),
        quote(secret),
        quote(secret, ""),
    ]
    for text in (secret, *written):
        masked, hits = using.mask_text(f"it is {text} as we know")
        assert text.strip("\"'") not in masked, text
        assert [hit.kind for hit in hits] == ["known"]
        assert masked.startswith("it is ")
        assert masked.endswith(" as we know")
        assert using.mask_text(masked)[0] == masked
