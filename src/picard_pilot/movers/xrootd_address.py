"""An XRootD address taken apart: the server, the path as the server knows it, and what is said beside the path.

XRootD takes a path as it is: nothing is percent-coded, and a `?` begins what is beside the path.
"""

import re

from picard_pilot.model.transfer import FailureClass, Remedy, StorageAccess, TransferError, TransferFailure
from picard_pilot.movers.part_file import part_name

SCHEMES = ("root", "roots", "xroot", "xroots")

_BESIDE = re.compile(r"[\w.-]+=[^?#]*")
"""What may stand behind the `?`: names with values. Anything else there is a file's name with a `?` in it."""


TLS_SCHEMES = frozenset({"roots", "xroots"})
"""Over these alone a token is shown."""


class Address:
    """Where one file lies. Raises TransferError (`specification`) for an address that cannot be used.

    `server` is all before the path, `path` the path alone, `name` its last component, `shown` the address for people.
    """

    def __init__(self, surl: str, access: StorageAccess) -> None:
        scheme, _, rest = surl.partition("://")
        host, _, path = rest.partition("/")
        path, question, beside = path.partition("?")
        self.surl = surl
        self.host = host.rpartition("@")[2]
        self.server = f"{scheme.lower()}://{host}"
        self.path = path
        self.name = path.rpartition("/")[2]
        self.access = access
        said = [beside] if beside else []
        # Without TLS everybody on the way could read it; a server that asks for tokens (ztn) wants TLS anyway.
        if access.token and scheme.lower() in TLS_SCHEMES and "authz=" not in beside:
            said.append(f"authz=Bearer%20{access.token}")
        self._beside = "&".join(said)
        if why := self._why_not(scheme, host, bool(question), beside):
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says=self.redacted(f"{surl!r} is refused: {why}"),
                    remedy=Remedy.MISTAKE,
                    surl=surl.partition("?")[0],
                )
            )

    def _why_not(self, scheme: str, host: str, question: bool, beside: str) -> str | None:
        if scheme.lower() not in SCHEMES:
            return f"it is not one of {', '.join(SCHEMES)}"
        if not host or not self.name:
            return "it names no file on a host"
        if question and not _BESIDE.fullmatch(beside):
            return "XRootD knows no file names with a question mark"
        if any(part in (".", "..") for part in self.path.split("/")):
            return "a component of its path could lead elsewhere"
        if "\0" in self.path:
            return "its path has a NUL byte"
        try:
            self.path.encode()
        except UnicodeEncodeError:
            return "its path is not UTF-8"
        return None

    @property
    def shown(self) -> str:
        """The address without what stands beside the path, which may be a secret."""
        return f"{self.server}/{self.path}"

    @property
    def url(self) -> str:
        """The whole address with the credential, for opening the file. Never to be shown."""
        return f"{self.server}/{self.asked_for()}"

    def asked_for(self, *more: str) -> str:
        """The path with everything beside it, for a request about the file. Never to be shown."""
        said = [*more, *filter(None, [self._beside])]
        return f"{self.path}?{'&'.join(said)}" if said else self.path

    def temporary(self) -> "Address":
        """A fresh temporary name in the same folder."""
        made = Address.__new__(Address)
        made.__dict__.update(self.__dict__)
        made.name = part_name(self.name)
        made.path = self.path[: len(self.path) - len(self.name)] + made.name
        return made

    def redacted(self, text: str) -> str:
        """The text without the credential and without anything that stands beside a path."""
        if self.access.token:
            text = text.replace(self.access.token, "[redacted]")
        return re.sub(r"(authz=)[^&\s'\"]+", r"\1[redacted]", text)
