"""What is secret in a request to a storage is found in whatever is said of it, whole or in pieces."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.system.redact import HIDDEN
from picard_pilot.system.unsaid import PIECE_CHARACTERS, Unsaid, password_of, secrets_of

TOKEN = secrets.token_urlsafe(300)
SIGNATURE = secrets.token_hex(32)
PASSWORD = secrets.token_hex(10)
SURL = (
    f"https://me:{PASSWORD}@store.example/bucket/in.data.root?X-Amz-Credential=AKIA0123456789%2F2026"
    f"&X-Amz-Expires=60&X-Amz-Signature={SIGNATURE}&name=in.data.root"
)


def test_whole_secrets_are_hidden() -> None:
    """The token, each longer value of the query as it is coded and decoded, the password; the rest is left."""
    unsaid = Unsaid([SURL], TOKEN)
    said = f"no {TOKEN} for {SIGNATURE}, AKIA0123456789/2026 or {PASSWORD}: 60 s for in.data.root"
    assert unsaid.text(said) == f"no {HIDDEN} for {HIDDEN}, {HIDDEN} or {HIDDEN}: 60 s for in.data.root"
    assert unsaid.text(SURL) == f"https://me:{HIDDEN}@store.example/bucket/in.data.root?..."


@given(
    begin=st.integers(0, 300),
    length=st.integers(2 * PIECE_CHARACTERS - 1, 300),
    before=st.text("x ", max_size=40),
    after=st.text("x ", max_size=40),
)
def test_a_piece_is_hidden_wherever_it_begins(begin: int, length: int, before: str, after: str) -> None:
    """What quotes a secret often cuts it; what stands around it is shown."""
    piece = TOKEN[begin : begin + length]
    shown = Unsaid([], TOKEN).text(f"{before}<{piece}>{after}")
    if len(piece) >= 2 * PIECE_CHARACTERS - 1:
        assert shown == f"{before}<{HIDDEN}>{after}"
    else:
        assert HIDDEN in shown or shown == f"{before}<{piece}>{after}"


def test_several_pieces_in_one_text() -> None:
    """Each of them, also side by side with one that is too short to matter."""
    first, second, short = TOKEN[:100], TOKEN[-70:], TOKEN[50:58]
    shown = Unsaid([], TOKEN).text(f"{first} and {second} but {short}, {first}")
    assert shown == f"{HIDDEN} and {HIDDEN} but {short}, {HIDDEN}"


def test_without_secrets_nothing_changes() -> None:
    """An address that holds none costs nobody a word."""
    text = "https://store.example/a/b?x=1 is not there, whatever https://store.example/a/b says"
    assert Unsaid(["https://store.example/a/b?x=1&", "root://door//a", ""]).text(text).startswith("https://")
    assert Unsaid(["https://store.example/a/b"]).text(text) == text


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("https://me:secret@host/f", "secret"),
        ("root://me@host//f", None),
        ("https://me:@host/f", None),
        ("https://host/f@x:y", None),
        ("https://host?a=b:c@d", None),
        ("me:secret@host", None),
        ("dav://a:b@c:d@host:1", "b@c:d"),
    ],
)
def test_a_password_stands_before_the_host(url: str, password: str | None) -> None:
    """And nowhere else; a name alone is none."""
    assert password_of(url) == password


def test_what_the_path_says_too_is_no_secret() -> None:
    """A file's name is wanted in every sentence about it."""
    assert secrets_of("https://h/data/long.name.root?file=long.name.root&sig=0123456789") == {"0123456789"}
