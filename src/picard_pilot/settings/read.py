"""The one reader of flags, environment and settings file; it remembers where each value came from.

A flag wins over the environment, the environment over the file, the file over the default. What each option
means is `settings.table`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from picard_pilot.model.trouble import Trouble, nearest
from picard_pilot.settings.option import Kind, Option, Value
from picard_pilot.settings.settings import Settings
from picard_pilot.settings.table import BY_KEY, TABLE
from picard_pilot.settings.values import parse
from picard_pilot.system.files import is_file

CONFIG_VARIABLE = "PICARD_CONFIG"
SYSTEM_FILE = "/etc/picard/picard.toml"
MAX_FILE_BYTES = 1 << 20
"""A settings file of hand-written lines is a thousand times smaller; more is not a settings file."""

_NOT_OPTIONS = frozenset({CONFIG_VARIABLE, "PICARD_NO_BROWSER", "PICARD_TOKEN"})
"""Variables with our prefix that are not options: the file itself, the set-up script's, the secret."""


class SettingsTrouble(Trouble):
    """A setting cannot be used; the evidence names the flag, the variable or the file and key."""


class Reading(NamedTuple):
    """The settings, the origin of each by its name (`default`, `file PATH`, `env NAME`, `flag --x`), and notes."""

    settings: Settings
    origins: dict[str, str]
    notes: tuple[str, ...]


def read(flags: Mapping[str, object], environ: Mapping[str, str], file: str | None = None) -> Reading:
    """Read all settings. `flags` holds what the command line gave, by option name; None counts as not given.

    `file` is the settings file; without it PICARD_CONFIG, then the user's, then the system's file is read, if there
    is one. Raises SettingsTrouble for a value that cannot be used and for a named file that cannot be read.
    """
    path = settings_file(environ, file)
    notes: list[str] = []
    from_file = _flat(_load(path), path, notes) if path else {}
    notes += _unknown_variables(environ)
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for option in TABLE:
        values[option.name], origins[option.name] = _one(option, flags, environ, from_file, path)
    return Reading(msgspec.convert(values, Settings), origins, tuple(notes))


def settings_for(**values: Value) -> Settings:
    """Settings with all defaults except `values`, by option name; for programs and tests."""
    return msgspec.structs.replace(read({}, {}, os.devnull).settings, **values)


def search_path(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where a settings file is looked for when none is named, the first that exists wins."""
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    config = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home and home / ".config"
    return (*((str(config / "picard" / "picard.toml"),) if config else ()), SYSTEM_FILE)


def settings_file(environ: Mapping[str, str], named: str | None = None) -> str | None:
    """The settings file in force, or None: the named one, that of PICARD_CONFIG, or the first that exists."""
    explicit = named or environ.get(CONFIG_VARIABLE)
    if explicit:
        return explicit
    return next((path for path in search_path(environ) if is_file(Path(path))), None)


def _one(
    option: Option,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    from_file: Mapping[str, object],
    path: str | None,
) -> tuple[Value, str]:
    """The value of one option and its origin."""
    given = flags.get(option.name)
    if given is not None:
        return _parsed(option, given, option.flag), f"flag {option.flag}"
    for variable in option.all_variables:
        text = environ.get(variable, "").strip()
        if text:
            return _parsed(option, text, variable), f"env {variable}"
    if option.key in from_file:
        return _parsed(option, from_file[option.key], f"{option.key} in {path}"), f"file {path}"
    return option.default, "default"


def _parsed(option: Option, raw: object, origin: str) -> Value:
    try:
        return parse(option, raw)
    except ValueError as problem:
        shown = str(raw) if len(str(raw)) <= 60 else str(raw)[:57] + "..."
        raise SettingsTrouble(
            f"The setting {origin} cannot be used",
            f"its value is {shown!r}, and {problem}",
            f"{origin} wants {_wanted(option)}: {option.help}",
        ) from None


def _wanted(option: Option) -> str:
    if option.choices:
        return "one of " + ", ".join(option.choices)
    if option.kind is Kind.SECONDS:
        return "a time in seconds, or with a unit as in 15m or 2h"
    if option.kind is Kind.BYTES:
        return "a size in bytes, or with a unit as in 2GiB"
    return {Kind.INTEGER: "a whole number", Kind.YES_NO: "yes or no", Kind.LIST: "a list"}.get(
        option.kind, "a text"
    )


def _load(path: str) -> dict[str, Any]:
    """The tables of a settings file. Raises SettingsTrouble."""
    if path == os.devnull:
        return {}
    import tomllib  # most pilots have no settings file

    advice = "`ppilot config path` shows which settings files are looked for"
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsTrouble(
            "The settings file cannot be read", f"{path}: {error.strerror}", advice
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsTrouble(
            "The settings file is too large", f"{path}: more than {MAX_FILE_BYTES} bytes", advice
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsTrouble(
            "The settings file is not valid TOML",
            f"{path}: {error}",
            "Mend the line, or name another file with --config",
        ) from None


def _flat(tables: Mapping[str, Any], path: str, notes: list[str]) -> dict[str, object]:
    """The values by dotted key; an unknown key is noted, since a newer file must not stop an older pilot."""
    found: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            found.update({f"{key}.{inner}": item for inner, item in value.items()})
        else:
            found[key] = value
    for key in [key for key in found if key not in BY_KEY]:
        del found[key]
        notes.append(f"{path}: the key {key} is unknown and ignored" + _meant(nearest(key, tuple(BY_KEY), 1)))
    return found


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Notes about variables with our prefix that nothing reads: probably misspelt."""
    known = {option.variable for option in TABLE} | _NOT_OPTIONS
    unknown = sorted(name for name in environ if name.startswith("PICARD_") and name not in known)
    return [
        f"the variable {name} is unknown and ignored" + _meant(nearest(name, tuple(known), 1))
        for name in unknown
    ]


def _meant(names: tuple[str, ...]) -> str:
    return f"; did you mean {names[0]}?" if names else ""
