"""What the tests of commands and payloads share: running coroutines, finding processes, waiting for conditions."""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from picard_pilot.model.command import CommandResult
from picard_pilot.system.run import run

T = TypeVar("T")
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
PYTHON = [sys.executable, "-I", "-S"]
DEADLINE_S = 30.0
"""Far more than anything here takes on a busy machine; only a failure waits so long."""


def go(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine in a loop of its own."""
    return asyncio.run(coroutine)


def command(*argv: str, cwd: Path = Path("/"), **more: Any) -> CommandResult:
    """Run one command to its end."""
    return go(run(argv, cwd=cwd, **{"env": ENV, "time_limit_s": DEADLINE_S, **more}))


def shell(script: str, *arguments: str, **more: Any) -> CommandResult:
    """Run a script with the system's shell."""
    return command("/bin/sh", "-c", script, *arguments, **more)


def marker() -> str:
    """A word that no other process has on its command line."""
    return f"mark-{secrets.token_hex(8)}"


def marked(word: str) -> list[int]:
    """Living processes with the word on their command line, whatever they did to their environment."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # A zombie has no command line, so it is gone for us.
        if word.encode() in words:
            found.append(int(path.name))
    return found


def until(condition: Callable[[], Any], what: str) -> None:
    """Return when the condition holds; fail when it does not come true."""
    give_up_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"waited in vain: {what}"
        time.sleep(0.005)


async def until_async(condition: Callable[[], Any], what: str) -> None:
    """The same without holding the loop."""
    give_up_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


@contextmanager
def nothing_survives() -> Iterator[str]:
    """Gives a marker for command lines and asserts that no process with it is left. Kills what is, to be tidy."""
    word = marker()
    yield word
    left = marked(word)
    for pid in left:
        os.kill(pid, 9)
    assert not left, f"{len(left)} processes survived"
