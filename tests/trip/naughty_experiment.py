"""An experiment one of whose hooks misbehaves: NAUGHTY_HOOK says which one, NAUGHTY_WAY how."""

import os
import subprocess
import sys
import threading
from typing import Any, ClassVar, NoReturn

from picard_pilot.experiments.base import Experiment


class Naughty(Experiment):
    """Everything else is the default."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "naughty"


def _raise(*_: Any) -> NoReturn:
    raise RuntimeError("no release 21.0.15 on this node")


def _hang(*_: Any) -> None:
    threading.Event().wait()


def _leave(*_: Any) -> NoReturn:
    sys.exit(0)


def _rubbish(*_: Any) -> object:
    return {"what": ["is", {"this"}, 7j]}


def _wrong_inside(*_: Any) -> object:
    from picard_pilot.model.bundle import Command

    return Command(argv=("/bin/echo", 7, None))  # type: ignore[arg-type]


def _start(*_: Any) -> None:
    code = "import os, sys, time; os.path.exists(sys.argv[1]); time.sleep(600)"
    subprocess.Popen([sys.executable, "-I", "-S", "-c", code, os.environ["NAUGHTY_MARK"]])


_WAYS = {
    "start": _start,
    "raise": _raise,
    "hang": _hang,
    "leave": _leave,
    "rubbish": _rubbish,
    "wrong inside": _wrong_inside,
}

if "NAUGHTY_HOOK" in os.environ:

    def _hook(self: Naughty, *arguments: Any) -> Any:
        return _WAYS[os.environ["NAUGHTY_WAY"]](*arguments)

    _hook.__name__ = os.environ["NAUGHTY_HOOK"]
    setattr(Naughty, os.environ["NAUGHTY_HOOK"], _hook)
