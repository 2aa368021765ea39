"""Readers of what a queue says about its data: files that lie on the node, the federation, sizes, addresses.

Readers of plain values are `site.readers`. All of these are strict: people write them.
"""

from collections.abc import Mapping

from picard_pilot.model.site import Federation, LocalFiles, PathRule
from picard_pilot.model.templates import TemplateError, check_template
from picard_pilot.site import readers as read
from picard_pilot.site.facts import BadValue

BYTES_PER_MB = 1 << 20
"""As in all of a queue's limits: 2048 MB are 2 GiB."""


def megabytes(value: object) -> int:
    """A whole number of MB, zero included, as bytes."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadValue("a whole number of MB, or 0")
    return value * BYTES_PER_MB


def web_address(value: object) -> str:
    """An address for http or https."""
    address = read.prefix(value)
    if address.partition("://")[0].lower() not in ("http", "https"):
        raise BadValue("an address that begins with https:// or http://")
    return address


def local_files(value: object) -> tuple[LocalFiles, ...]:
    """A list of tables with `names` and `path`: which names of files, and where on the node they lie."""
    wanted = 'a list of tables such as {names = "DBRelease-(.+).tar.gz", path = "/cvmfs/db/{1}/{0}"}'
    if not isinstance(value, list):
        raise BadValue(wanted)
    found = []
    for entry in value:
        if not isinstance(entry, Mapping) or set(entry) != {"names", "path"}:
            raise BadValue(wanted)
        pattern = LocalFiles(names=read.text(entry["names"]), path=read.text(entry["path"]))
        try:
            check_template(pattern)
        except TemplateError as error:
            raise BadValue(f"{wanted}; {error}") from None
        found.append(pattern)
    return tuple(found)


def federation(value: object) -> Federation:
    """A table with `redirector` and perhaps `paths` and `max_bytes`."""
    wanted = 'a table such as {redirector = "root://redirector.example:1094//data", max_bytes = 20000000000}'
    if not isinstance(value, Mapping) or not set(value) <= {"redirector", "paths", "max_bytes"}:
        raise BadValue(wanted)
    if "redirector" not in value:
        raise BadValue(wanted)
    paths = PathRule.RUCIO
    if "paths" in value:
        read.choice(PathRule)(value["paths"])
        paths = PathRule(str(value["paths"]))
    if paths is PathRule.CATALOGUE:
        raise BadValue(f"{wanted}; a redirector has no catalogue of its own")
    limit = read.positive(value["max_bytes"]) if "max_bytes" in value else None
    return Federation(redirector=read.prefix(value["redirector"]), paths=paths, max_bytes=limit)
