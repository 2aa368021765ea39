"""How a payload was started, so that it can be started again elsewhere: what `ppilot job replay` works from.

Writing it is `pilot.recipes`; making a directory of it and running that is `tools.replay`.
"""

import msgspec

JOB_DIRECTORY = "{job directory}"
"""Stands for the path of the job's directory, wherever that path was a part of a word or a value."""

RECIPE_NAME = "recipe.json"
"""In the job's private directory, and so in its log archive."""

SCHEMA = "picard.recipe/1"


class RecipeInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input as the payload had it. What is not known is None."""

    lfn: str
    scope: str | None = None
    guid: str | None = None
    size_bytes: int | None = None
    checksum: str | None = None
    """`ad:` or `md5:` and hexadecimal digits, as the catalogue has it."""
    surl: str | None = None
    endpoint: str | None = None
    how: str | None = None
    """copy, symlink, already there, direct ..."""
    turl: str | None = None
    """Where the payload read it directly."""


class RecipeNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of the node may make a difference."""

    system: str | None = None
    """The distribution's name and version."""
    kernel: str | None = None
    machine: str | None = None
    """x86_64, aarch64 ..."""
    libc: str | None = None
    cores: int | None = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is needed to start one payload again, without secrets.

    `argv` is the payload's own command, before it was confined. `environment` is all of it but the variables named in
    `withheld`; `changed` names those that the queue, the experiment or the job added to the pilot's own or changed.
    """

    schema: str = SCHEMA
    job_id: int
    attempt_nr: int
    name: str | None = None
    queue: str
    experiment: str
    version: str
    """Of the pilot."""
    argv: tuple[str, ...]
    environment: dict[str, str]
    changed: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    container: str | None = None
    """The image it ran in."""
    confined_by: str | None = None
    """The way it was confined: none, bubblewrap, apptainer ..."""
    output_limit_bytes: int | None = None
    inputs: tuple[RecipeInput, ...] = ()
    outputs: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    """The pilot's settings as they were resolved, by name."""
    node: RecipeNode = RecipeNode()
