"""Loading a plug-in by name: from the table of its room, an import path, or another package's entry point.

What a plug-in must offer is in the base of its room (such as `movers.base`); calling it is not here.
"""

import importlib
from types import ModuleType
from typing import Any, NamedTuple

from picard_pilot.model.trouble import Trouble, nearest


class PluginError(Trouble):
    """A plug-in cannot be had: unknown, not importable, not of its kind, or made for another version of the API."""


class Family(NamedTuple):
    """A kind of plug-in: the package with its table, its base class, and the group of its entry points."""

    package: str
    base: str
    group: str
    article: str


FAMILIES: dict[str, Family] = {
    "experiment": Family(
        "picard_pilot.experiments",
        "picard_pilot.experiments.base:Experiment",
        "picard_pilot.experiments",
        "an experiment",
    ),
    "mover": Family(
        "picard_pilot.movers", "picard_pilot.movers.base:SiteMover", "picard_pilot.movers", "a mover"
    ),
    "isolation": Family(
        "picard_pilot.isolation",
        "picard_pilot.isolation.base:Isolation",
        "picard_pilot.isolation",
        "an isolation",
    ),
}


class Found(NamedTuple):
    """A plug-in that a name leads to, not imported yet: its name, import path, and which package it is from."""

    name: str
    path: str
    source: str
    advice: str
    place: str = ""
    """What follows a name of the table and a colon: `lsm:/site/bin` is the mover `lsm` with this place."""


def load(kind: str, name: str) -> type[Any]:
    """The class of the plug-in `name` of this kind (`experiment`, `mover` or `isolation`).

    Names of the room's table come first (some take a place, as in `lsm:/site/bin`), then `module:Class`, then entry
    points. Raises PluginError.
    """
    family = _family(kind)
    found = find(kind, name)
    loaded = _import(found, family)
    if found.place:
        loaded = _at(loaded, found)
    base = _attribute(family.base)
    if not isinstance(loaded, type) or not issubclass(loaded, base):
        raise PluginError(
            f"{found.path} is not {family.article}",
            f"it is no class derived from {family.base}",
            f"Derive it from {base.__name__}; `ppilot plugin show {_first(kind)}` shows one that works",
        )
    _check_api(loaded, base, found, family)
    return loaded


def find(kind: str, name: str) -> Found:
    """Where the plug-in `name` is, without importing it. Raises PluginError if nothing has this name."""
    family = _family(kind)
    known = _table(family)
    if name in known:
        path, advice = known[name]
        return Found(name, path, "picard-pilot", advice)
    first, _, place = name.partition(":")
    if first in known and place:
        path, advice = known[first]
        return Found(name, path, "picard-pilot", advice, place)
    if ":" in name:
        return Found(
            name, name, "import path", f"Check that the package of {name!r} is installed beside Picard."
        )
    entries = _entry_points(family)
    if name in entries:
        return entries[name]
    names = tuple(sorted({*known, *entries}))
    near = nearest(name, names)
    raise PluginError(
        f"There is no {kind} named {name!r}",
        "nearest: " + ", ".join(near) if near else "known: " + ", ".join(names),
        f"`ppilot plugin list` shows all; name one, or give {family.article} as module:Class",
    )


def list_plugins(kind: str) -> tuple[Found, ...]:
    """All plug-ins of this kind that have a name, those of Picard first; nothing is imported."""
    family = _family(kind)
    own = [Found(name, path, "picard-pilot", advice) for name, (path, advice) in _table(family).items()]
    others = sorted(_entry_points(family).values())
    return (*own, *(found for found in others if found.name not in _table(family)))


class Hook(NamedTuple):
    """A hook of a plug-in: its name, whether it differs from the base's, and the class it comes from."""

    name: str
    overridden: bool
    origin: str
    summary: str


def describe(kind: str, name: str) -> tuple[Hook, ...]:
    """The hooks of a plug-in in the base's order, and where each comes from. Raises PluginError."""
    loaded = load(kind, name)
    base = _attribute(_family(kind).base)
    hooks = [item for item, value in vars(base).items() if callable(value) and not item.startswith("_")]
    return tuple(_hook(loaded, base, hook) for hook in hooks)


def _hook(loaded: type[Any], base: type[Any], hook: str) -> Hook:
    owner = next(part for part in loaded.__mro__ if hook in vars(part))
    summary = (getattr(base, hook).__doc__ or "").strip().partition("\n")[0]
    return Hook(hook, owner is not base, f"{owner.__module__}:{owner.__qualname__}", summary)


def _family(kind: str) -> Family:
    if kind not in FAMILIES:
        raise PluginError(
            f"There is no kind of plug-in named {kind!r}",
            "kinds: " + ", ".join(FAMILIES),
            "Name one of these kinds",
        )
    return FAMILIES[kind]


def _first(kind: str) -> str:
    return next(iter(_table(_family(kind))))


def _table(family: Family) -> dict[str, tuple[str, str]]:
    """The room's own table. By import path, since no room may be imported from here by name."""
    table: dict[str, tuple[str, str]] = importlib.import_module(family.package).KNOWN
    return table


def _entry_points(family: Family) -> dict[str, Found]:
    """The plug-ins that other installed packages announce, by name; the first package of a name wins."""
    from importlib import metadata  # costs some 50 ms, which only unknown names and lists pay

    found: dict[str, Found] = {}
    for entry in metadata.entry_points(group=family.group):
        package = entry.dist.name if entry.dist is not None else "unknown package"
        advice = f"The package {package} announces it; install {package} again, or remove it."
        found.setdefault(entry.name, Found(entry.name, entry.value, package, advice))
    return found


def _import(found: Found, family: Family) -> object:
    """What the import path of `found` names. Raises PluginError with the reason."""
    module, colon, name = found.path.partition(":")
    if not module or not colon or not name:
        raise PluginError(
            f"{found.path!r} is not an import path",
            f"it does not look like {family.base}",
            "Write it as module:Class",
        )
    loaded = _module(module, found, family)
    try:
        return _walk(loaded, name)
    except AttributeError:
        names = tuple(item for item, value in vars(loaded).items() if isinstance(value, type))
        near = nearest(name, names)
        raise PluginError(
            f"The {family.article.split()[-1]} {found.name!r} cannot be loaded",
            f"the module {module} has no {name}" + (f"; nearest: {', '.join(near)}" if near else ""),
            found.advice,
        ) from None


def _module(module: str, found: Found, family: Family) -> ModuleType:
    """The plug-in's module. This is the plug-in border: whatever its import raises becomes a PluginError."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise PluginError(
            f"The {family.article.split()[-1]} {found.name!r} cannot be loaded",
            f"importing {module}: {type(error).__name__}: {error}",
            found.advice,
        ) from error


def _at(loaded: object, found: Found) -> object:
    """The plug-in for the place that its name gives. Raises PluginError where it takes none."""
    at = getattr(loaded, "at", None)
    if at is None:
        raise PluginError(
            f"{found.name.partition(':')[0]} takes no place",
            f"{found.place!r} follows its name",
            "Name it without the colon and what follows",
        )
    return at(found.place)


def _walk(loaded: object, dotted: str) -> object:
    for part in dotted.split("."):
        loaded = getattr(loaded, part)
    return loaded


def _attribute(path: str) -> type[Any]:
    """The class at one of our own import paths."""
    module, _, name = path.partition(":")
    loaded: type[Any] = getattr(importlib.import_module(module), name)
    return loaded


def _check_api(loaded: type[Any], base: type[Any], found: Found, family: Family) -> None:
    """Raises PluginError when the plug-in was made for another version of the interface, or does not say."""
    wanted = base.api
    declared = next(
        (vars(part)["api"] for part in loaded.__mro__ if part is not base and "api" in vars(part)), None
    )
    if declared is None and loaded.__module__.startswith("picard_pilot."):
        return
    if declared == wanted:
        return
    says = (
        "does not say which version of the interface it is for"
        if declared is None
        else f"is for version {declared!r}"
    )
    older = isinstance(declared, int) and declared < wanted
    raise PluginError(
        f"{found.path} {says}",
        f"this Picard speaks version {wanted} of the interface for {family.article}",
        f"Install a newer {found.source}"
        if older
        else f"Set `api = {wanted}` in the class, or install a newer Picard",
    )
