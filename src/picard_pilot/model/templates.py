"""Where a file lies on the node, from its name: a pattern for the whole LFN and a path with its groups filled in.

Pure. Whether such a file is there, and is the right one, is found out by `data`.
"""

import re
from functools import lru_cache

from picard_pilot.model.site import LocalFiles

_PLACE = re.compile(r"\{([^{}]*)\}")
"""`{0}`, `{1}`, `{name}` in a path."""


class TemplateError(ValueError):
    """A pattern or path that cannot be used, or a name that would lead elsewhere; the text says why."""


def check_template(pattern: LocalFiles) -> None:
    """Raise TemplateError unless the pattern compiles, and the path is absolute, stays where it is, and uses only
    groups that the pattern has."""
    names = _compiled(pattern.names)
    if not pattern.path.startswith("/"):
        raise TemplateError(f"the path {pattern.path!r} is not absolute")
    for part in pattern.path.split("/")[1:]:
        if part in ("", ".", ".."):
            raise TemplateError(f"the path {pattern.path!r} has the part {part!r} in it")
    if "\0" in pattern.path or set("{}") & set(_PLACE.sub("", pattern.path)):
        raise TemplateError(f"the path {pattern.path!r} has a NUL byte or a brace without its other one")
    for group in _PLACE.findall(pattern.path):
        if group.isdecimal() and int(group) <= names.groups:
            continue
        if group not in names.groupindex:
            raise TemplateError(
                f"the path {pattern.path!r} asks for {{{group}}}, which {pattern.names!r} has not"
            )


def path_for(lfn: str, pattern: LocalFiles) -> str | None:
    """Where the file lies according to the pattern; None if the name is not one of its names.

    Raises TemplateError for a bad pattern (`check_template`), and for a name whose groups would lead elsewhere: each
    group must be a part of one path component, and none may become `.` or `..`.
    """
    check_template(pattern)
    match = _compiled(pattern.names).fullmatch(lfn)
    if match is None:
        return None

    def filled(place: re.Match[str]) -> str:
        group = place[1]
        value = match[int(group) if group.isdecimal() else group] or ""
        if "/" in value or "\0" in value:
            raise TemplateError(f"{{{group}}} of {lfn!r} would be more than one part of a path: {value!r}")
        return value

    path = _PLACE.sub(filled, pattern.path)
    for part in path.split("/")[1:]:
        if part in ("", ".", ".."):
            raise TemplateError(f"{lfn!r} would lead elsewhere: {path!r}")
    return path


@lru_cache(maxsize=64)
def _compiled(names: str) -> "re.Pattern[str]":
    try:
        return re.compile(names)
    except re.error as error:
        raise TemplateError(f"{names!r} is no regular expression: {error}") from None
