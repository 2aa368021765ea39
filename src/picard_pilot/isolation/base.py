"""What a way to confine a payload is: the interface, version 1, and what those share that switch identity.

The ways themselves are the files beside this one; which of them a job gets is `choice`. One object serves a whole
pilot and keeps nothing between calls but what its probe found. The command that `wrap` returns is started by the
payload's launcher, which stays outside, as the pilot's user: how the command ends is how the payload ended.
"""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.command import CommandResult, ProcessId
from picard_pilot.model.isolation import ConfineFault, ConfineRequest, Guarantee, Probed, Wrapped
from picard_pilot.system.proc import is_running
from picard_pilot.system.run import run

PROBE_LIMIT_S = 30.0
"""How long a probe may take: it starts a program or two, whose files may lie on a cold CVMFS."""
LAST_SIGNAL = 64
VERB_LIMIT_S = 120.0
"""How long signalling, removing or opening may take through the switch: a work directory may hold 100 000 files."""
OBEYED = ("GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH")
"""What the C library obeys in every program, besides all that begins with LD_: which code is loaded, which file is
written. They hold paths and no secrets."""


def loaders_apart(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The payload's environment without the variables that a program outside the confinement would obey, and these."""
    obeyed = {name: value for name, value in environment.items() if name.startswith("LD_") or name in OBEYED}
    return {name: value for name, value in environment.items() if name not in obeyed}, obeyed


class Isolation(abc.ABC):
    """One way to confine payloads. It claims guarantees, and keeps them or refuses."""

    name: ClassVar[str]
    api: ClassVar[int] = 1
    """The version of this interface. One of another package declares its own; another version is refused."""
    claims: ClassVar[frozenset[Guarantee]] = frozenset()
    """What it guarantees where it is usable; `probe` may say less."""
    runs_images: ClassVar[bool] = False
    needs_image: ClassVar[bool] = False
    switches_identity: ClassVar[bool] = False
    signals_as_codes: ClassVar[bool] = False
    """A payload that dies of a signal is seen as an exit code of 128 and the signal's number, as shells do it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` is the pilot's environment: where programs are looked up, and what a switch has to know."""
        self.environ = dict(environ)

    @abc.abstractmethod
    async def probe(self) -> Probed:
        """Try whether it works here, for real. Called at the pilot's start; may be called again. Raises nothing."""

    @abc.abstractmethod
    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The command that runs the payload confined.

        Called after `probe` found it usable, and at most once per launch; it may make folders below the request's
        scratch. No value of the payload's environment comes on a command line but those of `loaders_apart`, which no
        program outside the confinement may get. Raises CannotConfine where it could not keep what it claims, OSError.
        """

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """What an exit code says about the confinement itself; None where it is the payload's own."""
        return None

    def signal_of(self, exit_code: int) -> int | None:
        """The signal that an exit code stands for; None where it is a code.

        A payload that is a shell may say the same of a child of its own: the two cannot be told apart.
        """
        return exit_code - 128 if self.signals_as_codes and 128 < exit_code <= 128 + LAST_SIGNAL else None

    # for the plug-ins

    def found(self, says: str) -> Probed:
        """It is usable, with all that it claims."""
        return Probed(
            name=self.name,
            usable=True,
            says=says,
            guarantees=self.claims,
            runs_images=self.runs_images,
            needs_image=self.needs_image,
            switches_identity=self.switches_identity,
        )

    def lacking(self, reason: str) -> Probed:
        """It is not usable, for this reason."""
        return Probed(name=self.name, usable=False, says=reason, switches_identity=self.switches_identity)

    async def try_out(self, argv: Sequence[str], **variables: str) -> CommandResult:
        """Run a program of the probe, in the pilot's environment."""
        return await run(
            argv,
            cwd=Path("/"),
            env={**self.environ, **variables},
            time_limit_s=PROBE_LIMIT_S,
        )


class IdentitySwitch(Isolation):
    """A way that runs the payload as another local user; what belongs to that user is reached through it again.

    A switch says how a command is run (`command`); the verbs are built from it. They are the pilot's commands, not
    payloads: they have a time limit, and their end is returned.
    """

    switches_identity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Guarantee]] = frozenset(
        {Guarantee.OTHER_IDENTITY, Guarantee.HIDES_PILOT_CREDENTIALS}
    )

    @abc.abstractmethod
    def command(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> Wrapped:
        """The command that runs `argv` as the other user. Raises CannotConfine."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: str = "/",
        time_limit_s: float = VERB_LIMIT_S,
    ) -> CommandResult:
        """Run a short command as the other user. Raises CannotConfine."""
        wrapped = self.command(argv, environment or {"PATH": "/usr/bin:/bin"}, cwd)
        return await run(wrapped.argv, cwd=Path("/"), env=wrapped.environment, time_limit_s=time_limit_s)

    async def signal(self, processes: Sequence[ProcessId], number: int) -> CommandResult | None:
        """Signal the other user's processes; None where none of them lives.

        A pid may be used again between look and signal; as it is that user who sends it, nobody else is hit.
        """
        alive = [str(each.pid) for each in processes if is_running(each)]
        if not alive:
            return None
        # The shell's own, since a node need not have a program of this name.
        return await self.run(("/bin/sh", "-c", 'kill -"$0" "$@"', str(number), *alive))

    async def remove(self, path: str) -> CommandResult:
        """Remove a file or a folder with all in it, as far as it is the other user's. May be called twice."""
        return await self.run(("rm", "-rf", "--one-file-system", "--", path))

    async def chmod(self, mode: str, path: str) -> CommandResult:
        """Change the permissions (as `chmod` writes them) of a path and all below it, links not followed."""
        return await self.run(("chmod", "-R", "--", mode, path))
