"""system.log and system.redact: lines as promised, and no secret in any byte."""

import io
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.system.log import about, open_log
from picard_pilot.system.redact import HIDDEN, RedactingWriter, Redactor

log = logging.getLogger("picard.test")


@pytest.fixture(autouse=True)
def about_nothing() -> Iterator[None]:
    """Leave no job behind in this context."""
    yield
    about(None)


def test_a_line_has_its_five_parts(tmp_path: Path) -> None:
    """Time in UTC, level, logger, job and phase, message; the same in file and stream."""
    stream = io.StringIO()
    opened = open_log(tmp_path / "pilotlog.txt", stream=stream, redactor=Redactor())
    try:
        log.info("no job yet")
        about(4711, "stagein")
        log.warning("one of %d", 2)
        log.debug("not heard")
    finally:
        opened.close()
    text = (tmp_path / "pilotlog.txt").read_text()
    assert text == stream.getvalue()
    first, second = text.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| INFO \| picard\.test \| - \| no job yet", first
    )
    assert second.endswith(" | WARNING | picard.test | 4711 stagein | one of 2")


def test_a_message_of_several_lines_stays_one_entry() -> None:
    """Nobody can forge a log line, and a traceback hangs under its own."""
    stream = io.StringIO()
    opened = open_log(None, stream=stream, redactor=Redactor())
    try:
        log.error("first\n2026-01-01 00:00:00.000 | INFO | picard.pilot | - | forged\r\nlast")
        try:
            raise ValueError("inside")
        except ValueError:
            log.exception("it failed")
    finally:
        opened.close()
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("    2026-01-01")
    assert [line for line in lines if not line.startswith("    ")][1].endswith("it failed")
    assert lines[-1] == "    ValueError: inside"


def test_appending_and_closing_twice(tmp_path: Path) -> None:
    """A second pilot's log follows the first one's; a closed log hears nothing."""
    for word in ("one", "two"):
        opened = open_log(tmp_path / "log", stream=None, redactor=Redactor())
        log.info(word)
        opened.close()
        opened.close()
        log.info("unheard")
    assert [line.rsplit(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()] == ["one", "two"]


def test_a_jobs_own_log_is_a_file_or_none(tmp_path: Path) -> None:
    """A payload may have put a pipe or a link in its place: no later pilot waits for the one or follows the other."""
    pipe, link, other = tmp_path / "pipe", tmp_path / "link", tmp_path / "other"
    os.mkfifo(pipe)
    link.symlink_to(other)
    log = open_log(tmp_path / "log", stream=None, redactor=Redactor())
    try:
        for path in (pipe, link):
            with pytest.raises(OSError):
                log.follow_job(7, path)
        end = log.follow_job(7, tmp_path / "own")
        logging.getLogger("picard.test").info("to all")
        end()
    finally:
        log.close()
    assert not other.exists()
    assert "to all" in (tmp_path / "own").read_text()


def test_a_full_disk_stops_nothing_and_is_told_later(tmp_path: Path) -> None:
    """Lines that could not be written are counted; the stream beside the file goes on."""

    class Failing(io.StringIO):
        broken = True

        def write(self, text: str) -> int:
            if self.broken:
                raise OSError(28, "No space left on device")
            return super().write(text)

    stream = Failing()
    opened = open_log(tmp_path / "log", stream=stream, redactor=Redactor())
    log.info("lost")
    log.info("lost too")
    stream.broken = False
    log.info("back")
    opened.close()
    assert "2 lines are missing here" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("back")
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def _token() -> str:
    return secrets.token_urlsafe(32)


def _jwt() -> str:
    return f"eyJ{_token()}.eyJ{_token()}.{_token()}"


SHAPES = [
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    '{{"Authorization": "Bearer {}"}}',
    "sent bearer {} to the server",
    "password={}",
    "PASSWORD = '{}'",
    '{{"refresh_token": "{}", "x": 1}}',
    "https://host/path?X-Amz-Signature={}&other=1",
    "https://user:{}@host/path",
    "export PANDA_AUTH_TOKEN={}",
    "AWS_SECRET_ACCESS_KEY={};",
    "--api-key={}",
    "client_secret: {}",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_secrets_are_known_by_their_place(shape: str) -> None:
    """Unregistered ones, in the forms in which people log them."""
    secret = _token()
    shown = Redactor().text(shape.format(secret) + "\n")
    assert secret not in shown
    assert HIDDEN in shown


def test_tokens_are_known_by_their_shape() -> None:
    """A JWT anywhere, whole or without its signature."""
    token = _jwt()
    for text in (f"got {token}, good", f"'{token}'", f"x={token.rsplit('.', 1)[0]}"):
        assert token.split(".")[1] not in Redactor().text(text)


def test_a_json_document_stays_one() -> None:
    """Secrets go, by their name or their look, in whatever quotes they stand; what is no secret stays as it is."""
    redactor = Redactor()
    redactor.register("tr0ub4dor")
    meant = {
        "token": None,
        "dispatchDBlockToken": "NULL",
        "password": 'it has "quotes" in it',
        "parameters": 'run --token="abc def" --n 3',
        "secret_count": 7,
        "api_key": ["one-of-them", "another"],
        "extra": {"said": "tr0ub4dor", "at": 1795413118.7454562},
    }
    clean = redactor.document(json.dumps(meant) + "\n")
    assert clean is not None and clean.endswith("}\n")
    read = json.loads(clean)
    assert read["token"] is None and read["dispatchDBlockToken"] == "NULL"
    assert (read["secret_count"], read["extra"]["at"]) == (7, 1795413118.7454562)
    for gone in ("quotes", "abc", "one-of-them", "another", "tr0ub4dor"):
        assert gone not in clean
    assert redactor.document("no { json") is None
    assert redactor.document("[" * 100_000) is None


def test_a_line_of_json_that_is_too_long_to_be_read_stays_json_where_it_can() -> None:
    """Nothing is hidden where there is nothing, and a number in its place gets quotes."""
    redactor = Redactor()
    assert (
        redactor.text('{"token":null,"secret":12345,"password":""}')
        == '{"token":null,"secret":"[redacted]","password":""}'
    )
    assert redactor.text("token=null") == "token=null"


def test_innocent_lines_are_left_alone() -> None:
    """What a reader needs to see."""
    for text in (
        "the token expired 3 minutes ago\n",
        "token_file=/etc/grid/token.jwt\n",
        "PANDA_AUTH_TOKEN_PATH=/tmp/x509\n",
        "davs://storage.example.org:443/rucio/user/file@1\n",
        "keyword arguments passed: 3\n",
        "exit code 7, stdout 10 bytes\n",
        "the pass rate is 0.9\n",
    ):
        assert Redactor().text(text) == text


def test_a_registered_secret_is_hidden_everywhere() -> None:
    """Also percent-encoded, also each line of one with several lines; trivial ones are not registered."""
    redactor = Redactor()
    secret = "p+/ä " + _token()
    redactor.register(secret)
    redactor.register(f"first-{secret}\nsecond-{secret}\n")
    redactor.register("no")
    from urllib.parse import quote

    shown = redactor.text(f"a {secret} b {quote(secret, safe='')} c first-{secret} no\n")
    assert secret not in shown
    assert quote(secret, safe="") not in shown
    assert shown.endswith("no\n")


def test_a_private_key_is_hidden_over_all_its_lines() -> None:
    """Whatever stands before and after it is shown."""
    body = "\n".join(secrets.token_urlsafe(48) for _ in range(5))
    begin, end = ("-----" + word + " RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    shown = Redactor().text(f"before {begin}\n{body}\n{end} after\nnext\n")
    assert not any(line in shown for line in body.splitlines())
    assert shown == f"before {HIDDEN}\n after\nnext\n"


def test_a_secret_written_in_pieces_is_hidden() -> None:
    """The writer waits for whole lines, whatever pieces they come in."""
    token = _jwt()
    text = f"start {token} end\nno newline {token}"
    for size in (1, 7, 1000):
        stream = io.StringIO()
        writer = RedactingWriter(stream, Redactor())
        for at in range(0, len(text), size):
            writer.write(text[at : at + size])
            writer.flush()
        writer.close()
        assert stream.getvalue() == f"start {HIDDEN} end\nno newline {HIDDEN}"


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    """It is passed on in pieces."""
    stream = io.StringIO()
    writer = RedactingWriter(stream, Redactor())
    for _ in range(100):
        writer.write("x" * 10_000)
    assert len(stream.getvalue()) > 900_000
    writer.close()
    assert len(stream.getvalue()) == 1_000_000
