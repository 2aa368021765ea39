"""What an experiment decides about a job: refusals, how files travel, containers, recovery, credentials.

The hooks that give these answers are `experiments.base`; who obeys them is `pilot`.
"""

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
    attempts_per_source: int = 2
    """A second try mends a cut connection; more of them only delay the next source."""


class OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored, and how hard is tried."""

    store_of_failed: bool = False
    """Outputs of a failed payload are stored too. Off: the server would not register them."""
    allow_alternative: bool = True
    """Another endpoint will do when the first one fails, where the queue allows it."""
    attempts_per_destination: int = 2
    """A second try mends a cut connection; more of them only delay the next destination."""


class RecoveryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a job that could not be brought to its end waits on disk for a later pilot."""

    keep: bool = True
    max_attempts: int = 15
    """How many pilots may try; the number that the first pilot used for years."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """The container that a payload wants: an image's name or path, and options for the runtime."""

    image: str
    options: tuple[str, ...] = ()


class CredentialNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the pilot's credentials the payload must have: names of environment variables. Normally none."""

    variables: tuple[str, ...] = ()
