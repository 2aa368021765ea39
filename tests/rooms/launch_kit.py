"""What the launcher's tests share: specifications, pilot-like processes, and a count of runs."""

import subprocess
import sys
from pathlib import Path

import msgspec
from process_kit import ENV

from picard_pilot.payload.launch import LaunchSpec

PILOT = """
import asyncio, os, signal, sys
import msgspec
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.system import spawn

spec = msgspec.json.decode(sys.argv[1], type=LaunchSpec)
"""
"""The head of a program that launches as a pilot does; what follows it is the test's."""


def payload(folder: Path, script: str, *arguments: str, name: str = "launch", **more: object) -> LaunchSpec:
    """A payload that is a shell script; its first line counts the run."""
    fields: dict[str, object] = {
        "directory": str(folder / name),
        "argv": ("/bin/sh", "-c", f"echo run >>{folder}/runs; {script}", *arguments),
        "cwd": str(folder),
        "env": ENV,
        "stdout": str(folder / "payload.stdout"),
        "stderr": str(folder / "payload.stderr"),
    }
    return LaunchSpec(**{**fields, **more})  # type: ignore[arg-type]


def runs(folder: Path) -> int:
    """How many times a payload made with `payload` has run."""
    path = folder / "runs"
    return path.read_text().count("run\n") if path.exists() else 0


def pilot(spec: LaunchSpec, rest: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a pilot-like process."""
    text = msgspec.json.encode(spec).decode()
    return subprocess.Popen(
        [sys.executable, "-c", PILOT + rest, text, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
