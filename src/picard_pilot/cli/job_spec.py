"""A job's description from flags and a command, or from a file: what `job/submit` takes.

Which fields there are, and what is wrong with one, is `wire.jobspec`; the server checks it.
"""

import argparse
import shlex
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

from picard_pilot.cli.exits import UsageTrouble
from picard_pilot.settings.option import Kind
from picard_pilot.settings.values import parse_kind

JOB_NUMBER = "$PANDAID"
"""In any text of a description the server puts the job's number here."""

_MB = 1 << 20
_BLOCK_BYTES = 1 << 20


class File(NamedTuple):
    """A file as a flag names it; empty texts where nothing is given."""

    lfn: str
    scope: str
    endpoint: str
    size_bytes: str = ""
    checksum: str = ""


def from_flags(args: argparse.Namespace, queue: str | None, words: list[str]) -> dict[str, object]:
    """The description of one job that runs `words`. Raises UsageTrouble."""
    inputs = [_input(text, args.scope) for text in args.spec_inputs]
    outputs = [_output(text, args.scope) for text in args.spec_outputs]
    command = [*(["env", *map(_variable, args.spec_env)] if args.spec_env else []), *words]
    spec: dict[str, object] = {
        "computingSite": _queue(queue),
        "jobName": args.name,
        "prodSourceLabel": args.spec_label,
        "transformation": shlex.quote(command[0]),
        "jobPars": shlex.join(command[1:]),
        "coreCount": args.cores,
        "minRamCount": _megabytes("--mem", args.mem),
        "maxDiskCount": _megabytes("--disk", args.disk),
        "maxWalltime": _seconds("--walltime", args.walltime),
        "container_name": args.image,
        "maxAttempt": None if args.retries is None else args.retries + 1,
        "debug": "True" if args.spec_debug else None,
        "useJobRecovery": "True" if args.spec_recover else None,
    }
    if inputs:
        spec |= {
            "inFiles": [file.lfn for file in inputs],
            "scopeIn": [file.scope for file in inputs],
            "fsize": [file.size_bytes for file in inputs],
            "checksum": [file.checksum for file in inputs],
            "ddmEndPointIn": [file.endpoint for file in inputs],
        }
    spec |= _outputs(outputs, args.spec_log, args.scope)
    return {name: value for name, value in spec.items() if value is not None}


def _outputs(outputs: list[File], log_text: str | None, scope: str | None) -> dict[str, object]:
    """The outputs and the log, which a server lists among them. No log if it is called none."""
    log = None if log_text == "none" else _output(log_text or f"job.{JOB_NUMBER}.log.tgz", scope)
    files = [*outputs, *([log] if log else [])]
    if not files:
        return {}
    spec: dict[str, object] = {
        "outFiles": [file.lfn for file in files],
        "scopeOut": [file.scope for file in outputs],
        "ddmEndPointOut": [file.endpoint for file in files],
    }
    return spec | ({"logFile": log.lfn, "scopeLog": log.scope} if log else {})


def from_file(name: str, queue: str | None) -> list[dict[str, object]]:
    """The descriptions in a JSON or TOML file (`-`: JSON from stdin); TOML has them as `[[job]]`.

    The names are those of PanDA's job dictionary, with `computingSite` for the queue. Raises UsageTrouble.
    """
    import msgspec

    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        data = msgspec.toml.decode(text) if name.endswith(".toml") else msgspec.json.decode(text)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise UsageTrouble(
            f"The description {name} cannot be read",
            str(error),
            "Give JSON, TOML (*.toml), or a command behind --",
        ) from None
    found = data.get("job", data) if isinstance(data, dict) else data
    specs = found if isinstance(found, list) else [found]
    for spec in specs:
        if not isinstance(spec, dict):
            raise UsageTrouble(
                f"The description {name} is not one of jobs",
                f"it holds {type(spec).__name__} where a table of fields should be",
                'Write [[job]] tables, or JSON objects, such as {"computingSite": "Q", "transformation": "date"}',
            )
    if not specs:
        raise UsageTrouble(f"The description {name} holds no job", "its list is empty", "Add one")
    return [spec if "computingSite" in spec else {**spec, "computingSite": _queue(queue)} for spec in specs]


def _queue(queue: str | None) -> str:
    if queue is None:
        raise UsageTrouble(
            "ppilot submit: no queue is named",
            "neither --queue nor PICARD_QUEUE says one",
            "Name one: -q MY_QUEUE",
        )
    return queue


def _split(text: str, scope: str | None) -> tuple[str, str, str, str]:
    """Scope, LFN, path and endpoint of `[SCOPE:]LFN[=PATH][@ENDPOINT]`."""
    rest, at, endpoint = text.rpartition("@")
    rest = rest if at else text
    name, _, path = rest.partition("=")
    given, colon, lfn = name.partition(":")
    if not colon:
        given, lfn = scope or "", name
    if not lfn or "," in text or (at and not endpoint):
        raise UsageTrouble(f"{text!r} names no file", "it wants [SCOPE:]LFN[=PATH][@ENDPOINT]", "Correct it")
    return given, lfn, path, endpoint if at else ""


def _input(text: str, scope: str | None) -> File:
    given, lfn, path, endpoint = _split(text, scope)
    if not path:
        return File(lfn, given, endpoint)
    size_bytes, adler32 = _measured(path)
    return File(lfn, given, endpoint, str(size_bytes), f"ad:{adler32:08x}")


def _output(text: str, scope: str | None) -> File:
    given, lfn, path, endpoint = _split(text, scope)
    if path:
        raise UsageTrouble(
            f"{text!r} names no output", "an output has no path yet", "Write it as [SCOPE:]LFN[@ENDPOINT]"
        )
    return File(lfn, given, endpoint)


def _measured(path: str) -> tuple[int, int]:
    """Size and adler32 of a file. Raises UsageTrouble."""
    size_bytes, checksum = 0, 1
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                size_bytes += len(block)
                checksum = zlib.adler32(block, checksum)
    except OSError as error:
        raise UsageTrouble(
            f"The input {path} cannot be read", str(error), "Correct its path, or leave it out"
        ) from None
    return size_bytes, checksum


def _variable(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageTrouble(f"--env {text!r} sets no variable", "it wants NAME=VALUE", "Correct it")
    return text


def _megabytes(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    value = _parsed(flag, Kind.BYTES, text)
    return -(-int(value) // _MB)


def _seconds(flag: str, text: str | None) -> int | None:
    return None if text is None else int(_parsed(flag, Kind.SECONDS, text))


def _parsed(flag: str, kind: Kind, text: str) -> float:
    try:
        value = parse_kind(kind, text)
    except ValueError as error:
        raise UsageTrouble(f"{flag} {text} will not do", str(error), "Correct it") from None
    assert isinstance(value, (int, float))
    return value
