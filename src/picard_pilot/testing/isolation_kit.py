"""A pilot's work area with secrets in it, and running a payload there; the tests are `testing.isolation_suite`."""

import ctypes
import json
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import ConfineRequest, Guarantee, Wrapped
from picard_pilot.testing import isolation_escapes, isolation_pilot, isolation_tricks

LIMIT_S = 120.0
"""For one payload of the suite: a few seconds of work, on a machine that may do ten other things."""

PYTHON = "/usr/bin/python3"
"""What runs the payload: the system's, which every user may read; ours may lie in root's home."""

ATTEMPTS: dict[Guarantee, tuple[str, ...]] = {
    Guarantee.HIDES_PILOT_CREDENTIALS: (
        "environment",
        "environ_of_processes",
        "files",
        "files_through_processes",
        "work_area",
        "descriptors",
        "memory",
        "socket",
        "covers",
        "renewed_credential",
        "links",
        "memory_by_call",
        "trace_launcher",
        "stolen_descriptors",
        "folders_of_processes",
        "modes",
        "handles",
        "second_view",
    ),
    Guarantee.OWN_PROCESS_SPACE: (
        "see_pilot",
        "signal_pilot",
        "see_outsiders",
        "hold_outsiders",
        "named_memory",
    ),
    Guarantee.OTHER_IDENTITY: ("same_user", "become_pilot", "signal_pilot", "all_identities"),
    Guarantee.READ_ONLY_HOST: ("write_host", "change_host", "kernel_settings"),
}
"""What the payload tries against each guarantee: `try_...` of `testing.isolation_escapes` and `isolation_tricks`."""

ALL = tuple((guarantee, name) for guarantee, names in ATTEMPTS.items() for name in names)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a payload of the suite ended, as its pilot saw it."""

    exit_code: int | None
    signal: int | None
    ended_by: str
    stdout: str
    stderr: str
    start_error: str
    survivors: int
    signals_heard: int


class WorkArea:
    """The folders of a pilot that runs one job, with a marker in everything that is secret."""

    def __init__(self, base: Path) -> None:
        """`base` is an empty folder."""
        self.base = base
        self.image_needs: tuple[str, ...] = ()
        """Folders of the node that the suite's image does not work without."""
        self.marker = uuid.uuid4().hex
        self.unique = f"picard-suite-{uuid.uuid4().hex[:12]}"
        self.work = base / "work"
        self.job = self.work / "PanDA_Pilot-1"
        self.private = self.job / "picard"
        self.scratch = self.private / "isolation"
        self.other = self.work / "PanDA_Pilot-2"
        self.credential = base / "credentials" / "x509_proxy"
        self.inputs = self.work / "inputs"
        self.extra = base / "extra"
        self.host = base / "host"
        for folder in (self.scratch, self.other, self.credential.parent, self.inputs, self.extra, self.host):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.private, self.scratch, self.credential.parent):
            folder.chmod(0o700)
        self.secrets = (
            self.credential,
            self.work / "pilotlog.txt",
            self.other / "payload.stdout",
            self.private / "job.json",
        )
        for path in self.secrets:
            path.write_text(self.marker)
            path.chmod(0o600)
        (self.inputs / "file.root").write_text("input")
        for name in ("ready", "renewed"):
            os.mkfifo(self.job / name)
            (self.job / name).chmod(0o666)
        self.precious = self.host / "precious"
        self.precious.write_text("precious")
        self.script = self.job / "escapes.py"
        self.script.write_text(_SCRIPT)
        package = self.job.joinpath(*__name__.split(".")[:-1])
        package.mkdir(parents=True)
        for module in (isolation_escapes, isolation_tricks):
            source = Path(str(module.__file__))
            (package / source.name).write_bytes(source.read_bytes())

    def request(self, *argv: str, image: str | None = None, **changes: Any) -> ConfineRequest:
        """A payload in this work area."""
        fields: dict[str, Any] = {
            "argv": argv,
            "cwd": str(self.job),
            "environment": {"PATH": "/usr/bin:/bin", "PAYLOAD_SAYS": self.says},
            "job_directory": str(self.job),
            "scratch": str(self.scratch),
            "read_only": (str(self.inputs), *(self.image_needs if image else ())),
            "read_write": (str(self.extra),),
            "hidden": (str(self.work), str(self.private), str(self.credential)),
            "image": image,
        }
        return ConfineRequest(**(fields | changes))

    @property
    def pilot_uid(self) -> int:
        """Whose the pilot is."""
        return os.getuid()

    @property
    def pilot_gid(self) -> int:
        """Its group."""
        return os.getgid()

    def python(self) -> tuple[str, ...]:
        """The command that runs Python with Picard in it as the pilot's user."""
        return (sys.executable,)

    def wrap(self, isolation: Isolation, request: ConfineRequest) -> Wrapped:
        """What the pilot asks of the way to confine."""
        return isolation.wrap(request)

    @property
    def says(self) -> str:
        """A value of the payload's environment that is easily broken on the way."""
        return "with blank, 'quote' \"quote\" $HOME, comma\nand line"

    def host_folders(self) -> list[str]:
        """Where on the node a payload might write, if it could; none of them belongs to the system."""
        return [str(self.host), str(self.inputs), "/var/tmp", "/dev/shm", "/opt", "/usr/share", "/etc"]

    def attempts(self, names: tuple[str, ...]) -> dict[str, object]:
        """The plan for `testing.isolation_escapes`, but for the pilot's pid."""
        half = len(self.marker) // 2
        return {
            "attempts": sorted(set(names), key=lambda name: (name == "links", name)),
            "marker": [self.marker[:half], self.marker[half:]],
            "secrets": [str(path) for path in self.secrets],
            "folders": [str(self.work), str(self.other), str(self.private), str(self.credential.parent)],
            "names": [
                path.name
                for path in (*self.secrets, self.other, self.scratch)
                if path.name != "payload.stdout" or path.parent == self.other
            ],
            "private": str(self.private),
            "host": self.host_folders(),
            "unique": self.unique,
            "visible": [str(self.inputs / "file.root")],
            "writable": [str(self.extra)],
            "says": self.says,
            "cwd": str(self.job),
            "pilot_uid": self.pilot_uid,
            "pilot_gid": self.pilot_gid,
            "changeable": [str(self.host)],
            "handles": [handle for path in self.secrets if (handle := _handle(path)) is not None],
            "memory_key": secrets.randbits(30) + 1,
            "socket": str(self.work / "door"),
        }

    def arrived(self) -> list[str]:
        """What a payload wrote to the node outside of its own folders; it is removed."""
        found = [
            Path(folder, self.unique) for folder in self.host_folders() if Path(folder, self.unique).exists()
        ]
        for path in found:
            path.unlink()
        return [str(path) for path in found]

    def changed(self) -> list[str]:
        """What a payload changed of that which is there on the node already; what it added is removed."""
        found = [] if self.precious.exists() and self.precious.read_text() == "precious" else ["precious"]
        for path in self.host.iterdir():
            if path != self.precious:
                found.append(path.name)
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        return found

    def opened(self) -> list[str]:
        """Which secrets everybody can read now."""
        closed = (*self.secrets, self.private, self.credential.parent)
        return [str(path) for path in closed if path.stat().st_mode & 0o004]

    def run(self, isolation: Isolation, request: ConfineRequest, attempts: tuple[str, ...] = ()) -> Ended:
        """Have a pilot with secrets in its environment run the payload confined, and wait for the end."""
        wrapped = self.wrap(isolation, request)
        order = {
            "argv": wrapped.argv,
            "environment": wrapped.environment,
            "cwd": request.cwd,
            "work": str(self.work),
            "open": str(self.credential),
            "ready": str(self.job / "ready"),
            "renewed": str(self.job / "renewed"),
            "plan": str(self.job / "plan.json"),
            "attempts": self.attempts(attempts),
            "time_limit_s": LIMIT_S,
        }
        done = subprocess.run(
            (*self.python(), "-m", isolation_pilot.__name__),
            input=msgspec.json.encode(order),
            env={**_plain(os.environ), "BEARER_TOKEN": self.marker, "X509_USER_PROXY": str(self.credential)},
            stdout=subprocess.PIPE,
            timeout=2 * LIMIT_S,
        )
        (self.work / "door").unlink(missing_ok=True)
        return msgspec.json.decode(done.stdout, type=Ended)

    def escape(self, isolation: Isolation, attempts: tuple[str, ...], image: str | None) -> dict[str, Any]:
        """Run the escapes; what each brought, what did not work for the payload, and what else is known."""
        request = self.request(PYTHON, str(self.script), str(self.job / "plan.json"), image=image)
        ended = self.run(isolation, request, attempts)
        if ended.exit_code != 0:
            raise AssertionError(f"the payload did not run: {ended}")
        told: dict[str, Any] = json.loads(ended.stdout)
        seen = {
            name: look()
            for name, look in (
                ("write_host", self.arrived),
                ("change_host", self.changed),
                ("modes", self.opened),
            )
            if name in attempts
        }
        # Of some it counts what has come of them: a payload may write to a /var/tmp of its own.
        told["found"] |= {name: repr(hit) if hit else None for name, hit in seen.items()}
        return told | {"signals_heard": ended.signals_heard}


_SCRIPT = f"from {isolation_escapes.__name__} import main\nmain()\n"
"""What the payload runs; the modules lie beside it, as in Picard, which it has not."""

AT_FDCWD = -100
HANDLE_BYTES = 128
"""The longest handle of a file system (MAX_HANDLE_SZ)."""


def _handle(path: Path) -> str | None:
    """The file system's own handle of a file, in hexadecimal; None where it has none."""
    head = HANDLE_BYTES.to_bytes(4, sys.byteorder)
    handle = ctypes.create_string_buffer(head, 8 + HANDLE_BYTES)
    mount = ctypes.c_int()
    if ctypes.CDLL(None).name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount), 0) != 0:
        return None
    return handle.raw.hex()


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
