"""Another local user by gLExec, which maps the owner of a proxy to an account. Off until a site names it.

The interface is that of version 0.9. `GLEXEC_CLIENT_CERT` in the pilot's environment names the payload owner's proxy;
without one the payload is refused: it never runs with the pilot's own. Named as `glexec:PROGRAM`, or found.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from picard_pilot.isolation import sharing
from picard_pilot.isolation.base import IdentitySwitch
from picard_pilot.isolation.smuggle import any_python, pack, unpacking
from picard_pilot.model.isolation import CannotConfine, ConfineFault, ConfineRequest, Probed, Wrapped

VARIABLE = "GLEXEC_ENV"
"""The one variable of the caller that it lets pass; callers have always smuggled their environment in it."""
CLIENT_CERT = "GLEXEC_CLIENT_CERT"
PASSED = (CLIENT_CERT, "GLEXEC_SOURCE_PROXY", "X509_USER_PROXY", "X509_CERT_DIR", "GLEXEC_LOCATION", "PATH")
"""What gLExec itself reads; the payload gets none of it."""
SET_BY_IT = ("X509_USER_PROXY",)
"""What it sets for the payload: the proxy that it copied."""
TARGET_PROXY = "payload_proxy"
"""The name of the payload's proxy, in the job's directory."""

FAULTS = {
    126: (
        "SETUPFAILURE",
        "it cannot execute the payload's program",
        "Check that the payload's user may run it",
    ),
    201: (
        "NOPROXY",
        "it refuses the call: the payload owner's proxy is missing, or not the pilot's own file of mode 0600",
        "Check the file that GLEXEC_CLIENT_CERT names",
    ),
    202: ("SETUPFAILURE", "its installation is broken", "Show this to the site; other nodes may work"),
    203: (
        "SETUPFAILURE",
        "it does not authorize the payload's owner here",
        "Ask the site whether the owner's proxy is mapped to an account",
    ),
}
"""Its exit codes: the error in the catalogue, the sentence, what to do. 204 means that the payload used one of them."""


class Glexec(IdentitySwitch):
    """The payload as the account of its owner's proxy."""

    name = "glexec"
    signals_as_codes = True
    program: ClassVar[str | None] = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` also names the owner's proxy: where owners differ, one object is made and probed for each."""
        super().__init__(environ)
        self._uid: int | None = None

    @classmethod
    def at(cls, place: str) -> type["Glexec"]:
        """The switch by the program at this path."""
        return type(cls.__name__, (cls,), {"program": place, "__module__": cls.__module__})

    def where(self) -> str | None:
        """The program: where it is named, where its variables say, where it is installed."""
        if self.program is not None:
            return self.program
        named = [self.environ.get("OSG_GLEXEC_LOCATION")]
        for variable in ("GLEXEC_LOCATION", "GLITE_LOCATION"):
            if variable in self.environ:
                named.append(f"{self.environ[variable]}/sbin/glexec")
        return next(
            (each for each in (*named, "/usr/sbin/glexec") if each and os.access(each, os.X_OK)), None
        )

    async def probe(self) -> Probed:
        """Have it map the payload's owner, and say to whom."""
        if self.where() is None:
            return self.lacking("there is no glexec on this node")
        if CLIENT_CERT not in self.environ:
            return self.lacking(f"no proxy of the payload's owner is named by {CLIENT_CERT}")
        try:
            tried = await self.run(("/usr/bin/id", "-u"))
        except CannotConfine as error:
            return self.lacking(str(error))
        uid = tried.stdout_tail.strip()
        if not tried.ok or not uid.isdigit():
            fault = self.fault(tried.exit_code or 0, tried.stderr_tail)
            return self.lacking(fault.says if fault else f"glexec does not answer: {tried}")
        if int(uid) in (0, os.getuid()):
            return self.lacking("glexec maps the payload's owner to root or to the pilot itself")
        self._uid = int(uid)
        return self.found(f"glexec, to the user with number {uid}")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The payload behind glexec, its directory shared; the owner's proxy is copied for it by glexec."""
        if request.image is not None:
            raise CannotConfine(f"glexec does not run images such as {request.image}")
        if self._uid is None:
            raise CannotConfine("the account of the payload's owner is not known: it was not probed")
        # Before anything is opened to that user: where this cannot be, another way may be taken.
        wrapped = self.command(request.argv, request.environment, request.cwd)
        sharing.share(request.job_directory, self._uid, request.hidden)
        sharing.open_trees(request.read_only, request.read_write, self._uid)
        proxy = {
            "GLEXEC_SOURCE_PROXY": self.environ[CLIENT_CERT],
            "GLEXEC_TARGET_PROXY": f"{request.job_directory}/{TARGET_PROXY}",
        }
        return Wrapped(argv=wrapped.argv, environment=wrapped.environment | proxy, user=self._uid)

    def command(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> Wrapped:
        """`argv` behind glexec."""
        program = self.where()
        if program is None:
            raise CannotConfine("there is no glexec on this node")
        self._check_proxy()
        own = {name: value for name, value in self.environ.items() if name in PASSED}
        return Wrapped(
            argv=(program, *unpacking(any_python(), VARIABLE, argv)),
            environment={
                **own,
                VARIABLE: pack(environment, cwd, keep=(*SET_BY_IT, "HOME", "USER", "LOGNAME")),
            },
        )

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """What its exit codes mean. 204 is the payload's own 201 to 204, and says so in no other way."""
        if exit_code not in FAULTS:
            return None
        error, says, next_step = FAULTS[exit_code]
        said = [line for line in stderr.splitlines() if line.startswith(("glexec: ", "unpack: "))]
        evidence = f" ({said[-1]})" if said else ""
        return ConfineFault(
            error=error, says=f"glexec ended with {exit_code}: {says}{evidence}", next_step=next_step
        )

    def _check_proxy(self) -> None:
        """Never go on with a proxy that is the pilot's own or that others can read. Raises CannotConfine."""
        cert = self.environ.get(CLIENT_CERT)
        if not cert:
            raise CannotConfine(f"no proxy of the payload's owner is named by {CLIENT_CERT}")
        if cert == self.environ.get("X509_USER_PROXY"):
            raise CannotConfine(f"{CLIENT_CERT} names the pilot's own proxy")
        try:
            status = Path(cert).stat()
        except OSError as error:
            raise CannotConfine(f"the proxy of the payload's owner, {cert}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise CannotConfine(
                f"the proxy of the payload's owner, {cert}, is not the pilot's own file of mode 0600"
            )
