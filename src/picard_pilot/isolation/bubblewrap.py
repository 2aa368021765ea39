"""Confinement by bubblewrap: the node read-only, with what must not be seen covered, in an own process space.

It needs user namespaces, or root. The payload keeps its user; programs that gain rights (sudo, ping) do not work.
"""

import os
from pathlib import Path

from picard_pilot.isolation.base import Isolation, loaders_apart
from picard_pilot.isolation.mounts import TEMPORARY, Show, plan
from picard_pilot.model.isolation import (
    CannotConfine,
    ConfineFault,
    ConfineRequest,
    Guarantee,
    Probed,
    Wrapped,
)

PROGRAM = "bwrap"

RUN_KEPT = ("/run/systemd/resolve", "/run/netconfig", "/run/nscd", "/run/lock")
"""What of /run stays: where /etc/resolv.conf may lead to, and the cache of names. The rest are doors of services, some
of which start programs for whoever asks."""

DEVICES = ("fuse", "nvidia*", "dri", "kfd", "infiniband", "hugepages")
"""Devices that payloads use and that `--dev` leaves out: own containers, graphics processors, fast networks."""

PROC_COVERED = ("/proc/sys", "/proc/sysrq-trigger")
"""As root bubblewrap leaves these writable, and the kernel asks for no capability: a core_pattern runs as root."""

_BASICS = (
    "--die-with-parent",
    "--unshare-user-try",
    "--unshare-pid",
    "--unshare-ipc",
    # As root it would keep all capabilities, and could take the covers off again.
    "--cap-drop",
    "ALL",
)


class Bubblewrap(Isolation):
    """The node's own root, confined."""

    name = "bubblewrap"
    signals_as_codes = True
    claims = frozenset(
        {Guarantee.HIDES_PILOT_CREDENTIALS, Guarantee.OWN_PROCESS_SPACE, Guarantee.READ_ONLY_HOST}
    )

    async def probe(self) -> Probed:
        """Confine `true`, with every option that a payload gets."""
        version = await self.try_out((PROGRAM, "--version"))
        if not version.ok:
            return self.lacking("there is no bwrap on this node")
        tried = await self.try_out((PROGRAM, *_BASICS, *_root(), "--", "true"))
        if not tried.ok:
            said = tried.stderr_tail.strip().splitlines()
            return self.lacking(f"bwrap does not work here: {said[-1] if said else 'it says nothing'}")
        return self.found(version.stdout_tail.strip())

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The command behind `bwrap`."""
        if request.image is not None:
            raise CannotConfine(f"bubblewrap does not run images such as {request.image}")
        temporary = Path(request.scratch, "tmp")
        temporary.mkdir(mode=0o700, exist_ok=True)
        arguments = [*_BASICS, *_root()]
        for place in TEMPORARY:
            if Path(place).is_dir() and not Path(place).is_symlink():
                arguments += ["--bind", str(temporary), place]
        mounts = plan(request)
        for mount in mounts:
            if mount.show is Show.HIDDEN:
                arguments += ["--tmpfs", mount.path]
            else:
                bind = "--bind" if mount.show is Show.READ_WRITE else "--ro-bind"
                arguments += [bind, mount.path, mount.path]
        for mount in mounts:
            if mount.show is Show.HIDDEN:
                arguments += ["--remount-ro", mount.path]
        environment, obeyed = loaders_apart(request.environment)
        for name, value in obeyed.items():
            arguments += ["--setenv", name, value]
        arguments += ["--chdir", os.path.realpath(request.cwd)]
        program = _program(self.environ.get("PATH", os.defpath))
        return Wrapped(argv=(program, *arguments, "--", *request.argv), environment=environment)

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """Bubblewrap ends with 1 and a line of its own where it could not start the payload."""
        said = stderr.strip().splitlines()
        if exit_code != 1 or not said or not said[-1].startswith("bwrap: "):
            return None
        return ConfineFault(
            error="SETUPFAILURE",
            says=f"The payload could not be started in its confinement: {said[-1]}",
            next_step="Check the payload's program; if it is there, show this line to the site",
        )


def _root() -> list[str]:
    """The node read-only, with its own /proc, few devices, and next to nothing in /run."""
    arguments = ["--ro-bind", "/", "/", "--dev", "/dev"]
    for pattern in DEVICES:
        for path in sorted(Path("/dev").glob(pattern)):
            arguments += ["--dev-bind-try", str(path), str(path)]
    arguments += ["--proc", "/proc"]
    for covered in PROC_COVERED:
        arguments += ["--ro-bind-try", covered, covered]
    if Path("/run").is_dir():
        arguments += ["--tmpfs", "/run"]
        for kept in RUN_KEPT:
            arguments += ["--ro-bind-try", kept, kept]
    return arguments


def _program(path: str) -> str:
    """Where bubblewrap is, in the pilot's PATH: the payload's may lead elsewhere."""
    for folder in path.split(os.pathsep):
        if os.access(found := os.path.join(folder or ".", PROGRAM), os.X_OK):  # noqa: PTH118 - a name, not a file
            return found
    raise CannotConfine("bwrap is gone since the pilot started")
