"""A guest in User-Mode Linux: a kernel that runs as a program, with the machine's own files, read-only, as its disk.

It has nothing but control groups of version 2, with all controllers, as the worker nodes of EL9 have. A command runs
there in a group laid out as HTCondor 25 does it: the slice belongs to the job's user, the scope in it, where the
processes are, to root. It has one processor, no network but loopback, and starts and stops in two seconds.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from confining import lacks_program

LIMIT_S = 240.0
"""For a guest with one job, which shares two processors with all the other tests."""
USER = 65534
"""Nobody: a user without files of its own. It may read all, since Python may lie in root's home."""

SLOT_MEMORY_BYTES = 240 << 20
"""Of the slot; the guest itself has more."""

INIT = """#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TERM=dumb
mount -t proc p /proc; mount -t sysfs s /sys
mount -t tmpfs -o mode=755 r /run; mkdir /run/guest; mount -t hostfs h /run/guest -o {shared}
mount -t tmpfs -o mode=1777 t /tmp
mount -t tmpfs -o mode=1777 m /dev/shm 2>/dev/null
for each in {folders}; do
    [ -e "$each/." ] && [ -n "$(ls -A "$each")" ] && continue
    mkdir -p "$each" && mount -t hostfs w "$each" -o "$each"
done
mount -t cgroup2 c /sys/fs/cgroup; ip link set lo up 2>/dev/null
cd /sys/fs/cgroup; mkdir -p batch.slice/job.slice/job.scope
echo "+cpu +memory +pids +io" >cgroup.subtree_control
echo "+cpu +memory +pids" >batch.slice/cgroup.subtree_control
echo {memory} >batch.slice/job.slice/memory.max
{layout}
cd /tmp
( echo $BASHPID >/sys/fs/cgroup/batch.slice/job.slice{scope}/cgroup.procs
  exec setpriv --reuid {user} --regid {user} --clear-groups --inh-caps +dac_read_search \
    --ambient-caps +dac_read_search {command} ) </dev/null >/run/guest/out 2>/run/guest/err
echo $? >/run/guest/rc
sync; echo o >/proc/sysrq-trigger; sleep 5
"""
DELEGATED = """echo "+cpu +memory +pids" >batch.slice/job.slice/cgroup.subtree_control
chown {user} batch.slice/job.slice batch.slice/job.slice/cgroup.{{procs,subtree_control}}"""
OWN_GROUP = """rmdir batch.slice/job.slice/job.scope
chown {user} batch.slice/job.slice batch.slice/job.slice/cgroup.{{procs,subtree_control}}"""


class Answer(NamedTuple):
    """How the command in the guest ended."""

    exit_code: int
    stdout: str
    stderr: str


def lacks_guest() -> str | None:
    """Why no guest can be started here."""
    return lacks_program("linux.uml", "setpriv", "ip")


def run_in_guest(folder: Path, argv: tuple[str, ...], layout: str = "delegated") -> Answer:
    """Run a command as another user in a guest, in `/tmp`. `folder` is empty and for the guest's own use.

    Layouts: `delegated` as HTCondor 25 does; `own`, where the processes are in the group that the user may write;
    `root`, where nothing is the user's.
    """
    for name in ("out", "err"):
        (folder / name).touch()
        (folder / name).chmod(0o666)
    folders = {str(Path(path).resolve()) for path in (sys.prefix, sys.base_prefix, Path(__file__).parents[1])}
    init = folder / "init"
    init.write_text(
        INIT.format(
            shared=shlex.quote(str(folder)),
            folders=shlex.join(sorted(folders)),
            layout={"delegated": DELEGATED, "own": OWN_GROUP, "root": ""}[layout].format(user=USER),
            scope="" if layout == "own" else "/job.scope",
            user=USER,
            memory=SLOT_MEMORY_BYTES,
            command=shlex.join(argv),
        )
    )
    init.chmod(0o755)
    command = ("linux.uml", "mem=384M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}")
    with (folder / "console").open("wb") as console:
        subprocess.run(
            (*command, "con=null", "con0=null,fd:1", "quiet"),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)},
            timeout=LIMIT_S,
        )
    ended = folder / "rc"
    if not ended.exists():
        said = (folder / "console").read_text(errors="replace").splitlines()[-20:]
        raise AssertionError("the guest did not finish:\n" + "\n".join(said))
    return Answer(int(ended.read_text()), (folder / "out").read_text(), (folder / "err").read_text())
