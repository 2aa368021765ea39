"""Confining a payload: what can be guaranteed, what a node was found to have, what is asked for and what comes of it.

The ways to confine are `isolation`; nothing is probed or started here.
"""

from enum import StrEnum

import msgspec


class Guarantee(StrEnum):
    """What a way to confine a payload promises; the tests of `testing.isolation_suite` try to break each."""

    HIDES_PILOT_CREDENTIALS = "hides_pilot_credentials"
    """The pilot's proxy, token and work area, and the memory and environment of its processes, cannot be read."""
    OWN_PROCESS_SPACE = "own_process_space"
    """The payload sees and signals no process but its own, and none of its own outlives it."""
    OTHER_IDENTITY = "other_identity"
    """The payload runs as another local user."""
    READ_ONLY_HOST = "read_only_host"
    """No file of the node can be written, made, moved or removed but in what the job was given, and temporary files
    that go with the job."""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What a node was found to have of one way to confine.

    `says` is its version where it is usable, and the reason where it is not. `guarantees` are those that hold here.
    """

    name: str
    usable: bool
    says: str
    guarantees: frozenset[Guarantee] = frozenset()
    runs_images: bool = False
    """It can run the payload in an image; without one it may not run at all (`needs_image`)."""
    needs_image: bool = False
    switches_identity: bool = False


class ConfineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A payload to confine. All paths are absolute and exist, except that what is hidden need not.

    Of paths that lie in each other the innermost counts: a job directory below a hidden work area can be written.
    """

    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str]
    """The payload's whole environment, without secrets that it must not have."""
    job_directory: str
    scratch: str
    """A folder for this launch that the payload does not see; temporary files of the payload are kept below it."""
    read_only: tuple[str, ...] = ()
    """What must be visible although its surroundings are hidden, or are not in the image."""
    read_write: tuple[str, ...] = ()
    """What may be written besides the job directory."""
    hidden: tuple[str, ...] = ()
    """Files and folders that must not be seen. Of a file the whole folder is hidden: it may be replaced meanwhile."""
    image: str | None = None
    """A SIF file or a directory, on CVMFS for instance."""
    image_options: tuple[str, ...] = ()


class Wrapped(msgspec.Struct, frozen=True, kw_only=True):
    """What to start instead of the payload's own command. The environment is that of the first program."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    user: int | None = None
    """The number of the other user as whom it runs."""


class CannotConfine(Exception):
    """A request that a way to confine cannot keep its promises for; nothing was started. The text says why."""


class IsolationNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue and a job require, and the ways that may be used, in order."""

    guarantees: frozenset[Guarantee] = frozenset()
    image: str | None = None
    providers: tuple[str, ...] = ()


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The way to confine, and why this one."""

    provider: str
    says: str


class NotIsolated(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing here gives what is required: the job is to be refused.

    `missing` are the guarantees that no way gives here; it is empty where each is given, but by no way together, or
    where the image is what nothing can run.
    """

    missing: tuple[Guarantee, ...]
    says: str
    next_step: str
    image: bool = False
    """What is missing is a way to run the image."""


class Confined(msgspec.Struct, frozen=True, kw_only=True):
    """How one job's payload is confined, for a pilot that finds it later."""

    way: str
    """The name under which the way is loaded, with its place: `sudo:USER`."""
    says: str
    switches_identity: bool = False
    group: str | None = None
    """The folder of its own control group."""


class ConfinementView(msgspec.Struct, frozen=True, kw_only=True):
    """For status.json: how a payload is confined, once it is, and what its processes are held by, best first."""

    way: str | None
    says: str | None
    held_by: tuple[str, ...]
    not_held_by: dict[str, str]
    """What the node lacks, with the reasons."""


class ConfineFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why the payload did not run confined: the name of the error in the catalogue, in words, what to do."""

    error: str
    says: str
    next_step: str


class Rung(StrEnum):
    """How the processes of a payload are held together, for killing and for measuring; the best first."""

    CGROUP = "cgroup"
    PID_NAMESPACE = "pid_namespace"
    SUBREAPER = "subreaper"
    PROCESS_GROUP = "process_group"


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """The rungs that this node has, best first, and for each that is missing the reason."""

    rungs: tuple[Rung, ...]
    missing: dict[Rung, str] = {}

    @property
    def best(self) -> Rung:
        """The one to use."""
        return self.rungs[0]
