"""Commands where the launcher may not adopt orphans: what is left of their session is killed all the same."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PRCTL = {"x86_64": 157, "aarch64": 167, "ppc64le": 171, "s390x": 172}.get(platform.machine())
pytestmark = pytest.mark.skipif(
    PRCTL is None, reason="the number of prctl on this architecture is not known here"
)

FORBIDDING = """
import asyncio, ctypes, json, struct, sys
from pathlib import Path
from picard_pilot.isolation.ladder import can_reap
from picard_pilot.system.run import run

SUBREAPER, NO_NEW_PRIVS, SECCOMP = 36, 38, 22
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1
rules = [
    (LOAD, 0, 0, 0), (EQUAL, 0, 3, int(sys.argv[1])),
    (LOAD, 0, 0, 16 if sys.byteorder == "little" else 20), (EQUAL, 0, 1, SUBREAPER),
    (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW),
]
packed = b"".join(struct.pack("HBBI", *rule) for rule in rules)
held = ctypes.create_string_buffer(packed)
class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("rules", ctypes.c_void_p)]
program = Program(len(rules), ctypes.addressof(held))
libc = ctypes.CDLL(None, use_errno=True)
assert can_reap()
assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(SECCOMP, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
assert not can_reap()
folder = Path(sys.argv[2])
script = 'sleep 3600 & echo $! >stray; (sleep 3600 & echo $! >deeper); exit 6'
ended = asyncio.run(run(("/bin/sh", "-c", script), cwd=folder, env={"PATH": "/usr/bin:/bin"}, time_limit_s=60))
print(json.dumps([ended.exit_code, ended.survivors, ended.ended_by]))
"""


def test_what_a_command_leaves_in_its_session_is_killed(tmp_path: Path) -> None:
    """It runs, its end is its own, and neither its child nor its orphan lives on."""
    done = subprocess.run(
        (sys.executable, "-c", FORBIDDING, str(PRCTL), str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [6, 0, "itself"]
    for name in ("stray", "deeper"):
        assert _is_gone(int((tmp_path / name).read_text())), name


def _is_gone(pid: int) -> bool:
    """Gone, or killed and not yet reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return True
    except ProcessLookupError:
        return not os.path.exists(f"/proc/{pid}")  # noqa: PTH110
