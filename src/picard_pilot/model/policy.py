"""What an experiment decides about a job: refusals, how files travel, containers, recovery, credentials.

The hooks that give these answers are `experiments.base`; who obeys them is `pilot`.
"""

from enum import StrEnum

import msgspec


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment will not run the job: the error's name in the catalogue, the job's field, why, what to do.

    `error` is a name such as `SETUPFAILURE`; `field` is the field of the job's description as PanDA calls it.
    """

    error: str
    field: str
    says: str
    next_step: str


class InputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How inputs may reach the job's directory."""

    allow_link: bool = True
    """A symbolic link to a file of a local storage will do, where the queue allows it."""
    allow_direct: bool = True
    """The payload can read inputs where they are, where the queue allows it. False: it knows only files."""


class OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    store_of_failed: bool = False
    """Outputs of a failed payload are stored too. Off: the server would not register them."""


class RecoveryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a job's outputs wait on disk when no storage takes them, and how often it is taken up again."""

    keep: bool | None = None
    """They always (True) or never (False) wait; None leaves it to the rules of `lifecycle.recovery`."""
    movable: bool | None = None
    """False: the job can run at no other site, so its outputs are worth the wait."""

    max_attempts: int | None = None
    """After how many pilots in a row that took it up and died it is reported failed; None leaves it to the settings."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """The container that a payload wants: an image's name or path, and options for the runtime."""

    image: str
    options: tuple[str, ...] = ()


class CredentialNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the pilot's credentials the payload must have: names of environment variables. Normally none."""

    variables: tuple[str, ...] = ()


class AltStageOut(StrEnum):
    """Whether outputs may go to the alternative endpoint (PanDA's `altStageOut`)."""

    ON = "on"
    """When the first destination does not take them."""
    OFF = "off"
    FORCE = "force"
    """Straight to the alternative endpoint."""
