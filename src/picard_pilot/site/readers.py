"""Readers of single values, strict ones for files that people write and lenient ones for CRIC's.

Each takes a raw value and returns the model's, or None where the source says nothing, or raises BadValue.
"""

import re
from collections.abc import Mapping

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.isolation import Guarantee
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import PathRule, Protocol
from picard_pilot.site.facts import BadValue, Reader
from picard_pilot.system.unsaid import password_of

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_UNSET_WORDS = ("", "null", "none")
"""How CRIC and PanDA write that a text is not set."""


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadValue("a text that is not empty")
    return value


def lenient_text(value: object) -> str | None:
    """A text; empty, NULL and None mean unset. Numbers become text."""
    if value is None or (isinstance(value, str) and value.strip().lower() in _UNSET_WORDS):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadValue("a text")
    return text(str(value))


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadValue("true or false")
    return value


def lenient_flag(value: object) -> bool | None:
    """True or false, also as 1, 0, "yes", "no"; empty means unset."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _UNSET_WORDS:
        return None
    if word in ("1", "true", "yes"):
        return True
    if word in ("0", "false", "no"):
        return False
    raise BadValue("true or false")


def positive(value: object) -> int:
    """A whole number greater than zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise BadValue("a whole number greater than zero")
    return value


def lenient_limit(value: object) -> int | None:
    """A limit; 0, -1 and empty mean that there is none. Also as text."""
    if value is None or (isinstance(value, str) and value.strip().lower() in _UNSET_WORDS):
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        number = int(value)
    except (ValueError, OverflowError):
        raise BadValue("a whole number (0: no limit)") from None
    if number < -1:
        raise BadValue("a whole number (0: no limit)")
    return number if number > 0 else None


def names_by_activity(value: object) -> dict[str, tuple[str, ...]]:
    """A table: activity, then a list of names in the order in which to use them."""
    wanted = "a table from activity (pr, pw, pl ...) to a list of names"
    if not isinstance(value, Mapping):
        raise BadValue(wanted)
    table: dict[str, tuple[str, ...]] = {}
    for activity, names in value.items():
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
            raise BadValue(f"{wanted}; {activity} is not a list of names")
        table[str(activity)] = tuple(names)
    return table


def variables(value: object) -> dict[str, str]:
    """A table of environment variables."""
    if not isinstance(value, Mapping):
        raise BadValue("a table of variable names and texts")
    for name, setting in value.items():
        if not _VARIABLE.match(str(name)) or not isinstance(setting, str) or "\0" in setting:
            raise BadValue(f"a table of variable names and texts; {name} is not one")
    return dict(value)


def variables_line(value: object) -> dict[str, str] | None:
    """CRIC's `environ`: `NAME=value` pairs, separated by commas, semicolons or blanks."""
    line = lenient_text(value)
    if line is None:
        return None
    found: dict[str, str] = {}
    for pair in re.split(r"[,;\s]+(?=(?:export\s+)?[A-Za-z_]\w*=)", line.strip()):
        name, equals, setting = pair.removeprefix("export ").strip().partition("=")
        if not equals or not _VARIABLE.match(name):
            raise BadValue(f"NAME=value pairs; {pair!r} is not one")
        found[name] = setting.strip(" ,;").strip("\"'")
    return found


def table(value: object) -> dict[str, object] | None:
    """A table of whatever; None means unset."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise BadValue("a table")
    return {str(key): entry for key, entry in value.items()}


def choice(kinds: type[PathRule] | type[ChecksumKind] | type[AltStageOut]) -> Reader:
    """One word of a closed list."""

    def read(value: object) -> object:
        for kind in kinds:
            if value == kind.value:
                return kind
        raise BadValue("one of " + ", ".join(kind.value for kind in kinds))

    return read


def guarantees(value: object) -> tuple[Guarantee, ...]:
    """A list of what payloads must be confined by. An unknown word is an error: passed over, it would be no promise."""
    known = tuple(guarantee.value for guarantee in Guarantee)
    if not isinstance(value, list) or not all(word in known for word in value):
        raise BadValue("a list with words of " + ", ".join(known))
    return tuple(dict.fromkeys(map(Guarantee, value)))


def prefix(value: object) -> str:
    """An address under which files begin: `scheme://` and something after it, without `..`."""
    address = text(value)
    scheme, separator, rest = address.partition("://")
    if not separator or not _SCHEME.match(scheme) or not rest.strip("/"):
        raise BadValue("an address such as file:///srv/storage or https://host:port/path")
    if ".." in rest.split("/"):
        raise BadValue("an address without .. in it")
    if password_of(address) is not None:
        raise BadValue("an address without a password: logs, journals and reports show addresses")
    if scheme.lower() == "file" and not rest.startswith("/"):
        raise BadValue("an address of this machine: file:/// and an absolute path")
    return address


def protocols(value: object) -> tuple[Protocol, ...]:
    """A list of addresses, or of tables with `prefix` and `activities`."""
    wanted = 'a list of addresses, or of tables such as {prefix = "...", activities = ["pr"]}'
    if not isinstance(value, list) or not value:
        raise BadValue(wanted)
    return tuple(_protocol(entry, wanted) for entry in value)


def _protocol(entry: object, wanted: str) -> Protocol:
    if isinstance(entry, str):
        return Protocol(prefix=prefix(entry))
    if not isinstance(entry, Mapping) or not set(entry) <= {"prefix", "activities"} or "prefix" not in entry:
        raise BadValue(wanted)
    activities = entry.get("activities", [])
    if not isinstance(activities, list) or not all(isinstance(name, str) for name in activities):
        raise BadValue(wanted)
    return Protocol(prefix=prefix(entry["prefix"]), activities=tuple(activities))
