"""What an option is: a name with its flag, variable, key, type, unit, default and the reason for it.

The options themselves are `settings.table`; reading their values is `settings.read`.
"""

from enum import StrEnum
from typing import NamedTuple

Value = str | int | float | bool | tuple[str, ...] | None
"""What a setting can be, once read. None: not given, and there is no sensible default."""


class Kind(StrEnum):
    """How an option's value is written."""

    TEXT = "text"
    PATH = "path"
    INTEGER = "integer"
    SECONDS = "seconds"
    """A number, or one with a unit: 90, 1.5, 30s, 15m, 2h, 3d."""
    BYTES = "bytes"
    """A number, or one with a unit: 1000, 512MiB, 2GiB, 5GB."""
    YES_NO = "yes or no"
    LIST = "list"
    """Separated by commas; the flag can also be repeated."""


class Option(NamedTuple):
    """One row of the table.

    `name` is the field of `Settings`, with its unit; `key` is the place in the settings file, from which the
    environment variable follows. `reason` says why the default is what it is. `commands` are the verbs that take
    the flag. `flags` are ours; `pilot3` are the flags of today's pilot that mean the same, and `variables` the
    grid's own variables, read after ours.
    """

    name: str
    key: str
    kind: Kind
    default: Value
    group: str
    help: str
    reason: str
    flags: tuple[str, ...]
    commands: tuple[str, ...] = ("run",)
    metavar: str | None = None
    pilot3: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def variable(self) -> str:
        """The environment variable: `PICARD_` and the key; the pilot's own keys go without `pilot`."""
        return "PICARD_" + self.key.removeprefix("pilot.").replace(".", "_").upper()

    @property
    def all_variables(self) -> tuple[str, ...]:
        """All variables that can set the option, ours first."""
        return (self.variable, *self.variables)

    @property
    def all_flags(self) -> tuple[str, ...]:
        """All flags that can set the option, ours first."""
        return (*self.flags, *self.pilot3)

    @property
    def flag(self) -> str:
        """Our flag in its long form."""
        return next(flag for flag in self.flags if flag.startswith("--"))

    @property
    def no_flag(self) -> str | None:
        """The flag that switches a yes-or-no option off; None for other kinds."""
        if self.kind is not Kind.YES_NO:
            return None
        return "--no-" + self.flag.removeprefix("--")
