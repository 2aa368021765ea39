"""Another local user by sudo. Off until a site names it: `sudo:USER`, with a rule such as

    pilot ALL=(payload) NOPASSWD:SETENV: ALL

The payload's files are shared with the pilot by access lists (`sharing`); its processes are reached by sudo again.
"""

import os
import pwd
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from picard_pilot.isolation import sharing
from picard_pilot.isolation.base import IdentitySwitch
from picard_pilot.isolation.smuggle import any_python, pack, unpacking
from picard_pilot.model.isolation import CannotConfine, ConfineFault, ConfineRequest, Probed, Wrapped

VARIABLE = "PICARD_PAYLOAD"
"""What sudo lets through."""


class Sudo(IdentitySwitch):
    """The payload as the user that the site names."""

    name = "sudo"
    user: ClassVar[str | None] = None

    @classmethod
    def at(cls, place: str) -> type["Sudo"]:
        """The switch to the user of this name."""
        return type(cls.__name__, (cls,), {"user": place, "__module__": cls.__module__})

    async def probe(self) -> Probed:
        """Become the user, with a variable, and say who that is."""
        if self.user is None:
            return self.lacking("no user is named; name it as sudo:USER")
        try:
            entry = pwd.getpwnam(self.user)
        except KeyError:
            return self.lacking(f"there is no user {self.user} on this node")
        if entry.pw_uid in (0, os.getuid()):
            return self.lacking(f"{self.user} is root or the pilot itself")
        try:
            tried = await self.run(("/bin/sh", "-c", "id -u; echo $ASKED"), environment={"ASKED": "asked"})
        except CannotConfine as error:
            return self.lacking(str(error))
        if tried.stdout_tail.split() != [str(entry.pw_uid), "asked"]:
            said = tried.stderr_tail.strip().splitlines() or [str(tried.start_error or "it says nothing")]
            return self.lacking(f"sudo does not let us become {self.user}: {said[-1]}")
        return self.found(f"sudo, to the user {self.user}")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The payload behind sudo, its directory shared."""
        if request.image is not None:
            raise CannotConfine(f"sudo does not run images such as {request.image}")
        uid = pwd.getpwnam(self._user()).pw_uid
        # Before anything is opened to that user: where this cannot be, another way may be taken.
        wrapped = self.command(request.argv, request.environment, request.cwd)
        sharing.share(request.job_directory, uid, request.hidden)
        sharing.open_trees(request.read_only, request.read_write, uid)
        return msgspec.structs.replace(wrapped, user=uid)

    def command(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> Wrapped:
        """`argv` behind sudo."""
        own = {name: value for name, value in self.environ.items() if name in ("PATH", "LANG")}
        # Not -E: it would ask for the right to pass everything.
        options = ("-n", "-H", "-u", self._user(), f"--preserve-env={VARIABLE}")
        return Wrapped(
            argv=("sudo", *options, "--", *unpacking(any_python(), VARIABLE, argv)),
            environment={
                **own,
                VARIABLE: pack({"HOME": pwd.getpwnam(self._user()).pw_dir, **environment}, cwd),
            },
        )

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """Sudo ends with 1 and a line of its own where its rules forbid it."""
        said = [line for line in stderr.splitlines() if line.startswith(("sudo: ", "unpack: "))]
        if not said or exit_code not in (1, 126):
            return None
        return ConfineFault(
            error="SETUPFAILURE",
            says=f"The payload could not be started as {self.user}: {said[-1]}",
            next_step="Show this line to the site: its rule for the pilot may have changed"
            if said[-1].startswith("sudo: ")
            else "Check the payload's program, and whether that user may run it",
        )

    def _user(self) -> str:
        if self.user is None:
            raise CannotConfine("no user is named; name it as sudo:USER")
        return self.user
