"""What the pilot makes of how a payload ended: whose fault it was, with its last words."""

import secrets
from pathlib import Path

import pytest

from picard_pilot.model.bundle import Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.fault import Blame
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.faults import payload_faults
from picard_pilot.pilot.lines import TAIL_BYTES, last_lines
from picard_pilot.system.redact import HIDDEN, Redactor


def ended(
    exit_code: int | None = None, signal: int | None = None, stopped_by: str | None = None
) -> PayloadExit:
    """An end, half a second after the start."""
    return PayloadExit(
        started_at=1.0, ended_at=1.5, wall_s=0.5, exit_code=exit_code, signal=signal, stopped_by=stopped_by
    )


@pytest.mark.parametrize(
    ("end", "full", "name", "blame", "words"),
    [
        (ended(7), False, "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "exit code 7"),
        (ended(signal=9), False, "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "signal 9 (SIGKILL)"),
        (ended(signal=11), False, "PAYLOADSIGSEGV", Blame.PAYLOAD, "segmentation fault"),
        (ended(7), True, "NOLOCALSPACE", Blame.NODE, "exit code 7"),
        (
            ended(signal=15, stopped_by="output_limit"),
            False,
            "STDOUTTOOBIG",
            Blame.PAYLOAD,
            "bytes of output",
        ),
        (ended(signal=15, stopped_by="signal_15"), False, "KILLSIGNAL", Blame.BATCH, "signal 15 (SIGTERM)"),
        (ended(1, stopped_by="signal_2"), True, "KILLSIGNAL", Blame.BATCH, "signal 2 (SIGINT)"),
    ],
)
def test_whose_fault_it_was(
    tmp_path: Path, end: PayloadExit, full: bool, name: str, blame: Blame, words: str
) -> None:
    """A signal to the launcher alone, as a batch system sends it, is not the payload's."""
    (tmp_path / "payload.stderr").write_text("the last words\n")
    (found,) = payload_faults(end, Outcome(), bundle_of(tmp_path), full, Redactor())
    assert (found.name, found.blame) == (name, blame)
    assert words in found.says


@pytest.mark.parametrize("stopped_by", [None, "signal_15", "lifetime"])
def test_a_payload_that_ends_well_has_no_fault(tmp_path: Path, stopped_by: str | None) -> None:
    """Also when it was asked to end, and did so within its grace."""
    assert (
        payload_faults(ended(0, stopped_by=stopped_by), Outcome(), bundle_of(tmp_path), False, Redactor())
        == ()
    )


def test_a_payloads_last_words_hold_no_secret(tmp_path: Path) -> None:
    """They go where the log archive goes, and further: a registered one, one by its place, a private key."""
    registered, named = secrets.token_hex(12), secrets.token_hex(12)
    redactor = Redactor()
    redactor.register(registered)
    key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(secrets.token_hex(32) for _ in range(3))
    text = f"using {registered}\npassword={named}\n{key}\n-----END PRIVATE KEY-----\nno such file\n"
    (tmp_path / "payload.stderr").write_text(text)
    (found,) = payload_faults(ended(1), Outcome(), bundle_of(tmp_path), False, redactor)
    assert [one.text for one in found.evidence] == ["no such file"]
    lines = last_lines(str(tmp_path / "payload.stderr"), 100, redactor)
    assert lines == [f"using {HIDDEN}", f"password={HIDDEN}", HIDDEN, "no such file"]


def test_of_a_line_whose_beginning_is_not_read_nothing_is_shown(tmp_path: Path) -> None:
    """It may be the end of a secret; a file of one line alone is shown all the same."""
    path = tmp_path / "payload.stdout"
    path.write_text("x" * TAIL_BYTES + "\nlast\n")
    assert last_lines(str(path), 10, Redactor()) == ["last"]
    path.write_text("y" * 2 * TAIL_BYTES)
    assert last_lines(str(path), 10, Redactor())[0].startswith("yyy")
