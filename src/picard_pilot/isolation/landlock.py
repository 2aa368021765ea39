"""Confinement by Landlock: the payload writes to what it was given and nothing else, enforced by the kernel.

It needs no rights and no program, only a kernel that has it on, which is asked. It cannot hide a folder within one that
may be written, such as the pilot's own records in the job's directory, and knows no rule for modes and owners, so it
does not claim to hide credentials; it does deny what lies in other hidden folders, tracing, and (with a new kernel)
signals to processes outside.
"""

import sys
from pathlib import Path

import msgspec

from picard_pilot.isolation.base import Isolation, loaders_apart
from picard_pilot.isolation.mounts import TEMPORARY, Mount, Show, below, plan
from picard_pilot.model.isolation import (
    CannotConfine,
    ConfineFault,
    ConfineRequest,
    Guarantee,
    Probed,
    Wrapped,
)
from picard_pilot.system.shim.kernel import call

HELPER = Path(__file__).with_name("restrict.py")
"""The small program, run by path: the pilot itself does without the ctypes that it needs."""
FAILED = 126
"""Its exit code where nothing was started."""
CREATE_RULESET, CREATE_RULESET_VERSION = 444, 1
"""The system call that also tells the version, on every architecture but Alpha."""
DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
)
"""Devices that programs write to; more of them are readable. Not /dev/shm: what is left in it stays."""
GRAPHICS = ("nvidia*", "dri", "kfd", "infiniband")
"""Devices that payloads drive by writing to them."""
MOST_RULES = 2000
"""A hidden path in a folder with more entries than this would need a rule for each."""


class Landlock(Isolation):
    """The node's own root, by rules of the kernel's."""

    name = "landlock"
    claims = frozenset({Guarantee.READ_ONLY_HOST})

    async def probe(self) -> Probed:
        """Ask the kernel for the version of the interface."""
        version = call("syscall", CREATE_RULESET, 0, 0, CREATE_RULESET_VERSION)
        if version < 1:
            return self.lacking("this kernel has no Landlock, or it is off")
        return self.found(f"Landlock, version {version} of its interface")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The command behind a small program that restricts itself."""
        if request.image is not None:
            raise CannotConfine(f"Landlock does not run images such as {request.image}")
        temporary = Path(request.scratch, "tmp")
        temporary.mkdir(mode=0o700, exist_ok=True)
        mounts = plan(request)
        writable = [mount.path for mount in mounts if mount.show is Show.READ_WRITE]
        # A folder that is only readable within one that may be written cannot be had.
        for mount in mounts:
            if mount.show is Show.READ_ONLY and any(below(mount.path, each) for each in writable):
                raise CannotConfine(f"Landlock cannot keep {mount.path} from being written")
        environment, obeyed = loaders_apart(request.environment)
        rules = {
            "set": obeyed,
            "read": [*_readable(mounts), *(m.path for m in mounts if m.show is Show.READ_ONLY)],
            "write": [*writable, str(temporary), *_devices()],
        }
        helper = (sys.executable, "-I", "-S", str(HELPER))
        return Wrapped(
            argv=(*helper, msgspec.json.encode(rules).decode(), "--", *request.argv),
            environment={**environment, "TMPDIR": str(temporary)},
        )

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """The small program says so where it could not start the payload."""
        said = stderr.strip().splitlines()
        if exit_code != FAILED or not said or not said[-1].startswith("restrict: "):
            return None
        return ConfineFault(
            error="SETUPFAILURE",
            says=f"The payload could not be started in its confinement: {said[-1]}",
            next_step="Check the payload's program; if it is there, show this line to the site",
        )


def _readable(mounts: tuple[Mount, ...]) -> list[str]:
    """Every path beside those that lead to what is hidden: a rule allows a folder with all in it, and none forbids."""
    hidden = [mount.path for mount in mounts if mount.show is Show.HIDDEN]
    # The payload has a folder of its own for temporary files; those of others are not its business.
    hidden += TEMPORARY
    found: list[str] = []
    look = ["/"]
    while look:
        try:
            entries = [str(path) for path in Path(look.pop()).iterdir()]
        except OSError:
            continue  # not ours to read, so not the payload's either
        for entry in entries:
            if entry in hidden:
                continue
            if any(below(each, entry) for each in hidden):
                look.append(entry)
            else:
                found.append(entry)
        if len(found) > MOST_RULES:
            raise CannotConfine(f"Landlock needs more than {MOST_RULES} rules to hide {hidden[0]}")
    return found


def _devices() -> list[str]:
    graphics = [str(path) for pattern in GRAPHICS for path in sorted(Path("/dev").glob(pattern))]
    return [*DEVICES, *graphics]
