"""What a payload can read about its inputs: a list of TURLs and a POOL file catalogue, written before it starts.

What was decided for each input is in the case; this only writes it down.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.files import FileSpec
from picard_pilot.system.files import open_regular, write_all

POOL_CATALOGUE = "PoolFileCatalog.xml"
"""The name that ROOT's and Athena's tools look for."""

TURL_LIST = "input_turls.txt"

POOL_VARIABLE = "PILOT_POOL_FILE_CATALOG"
TURLS_VARIABLE = "PILOT_INPUT_TURLS"
"""Variables of the payload's environment that hold the paths of the two files."""


class InputCatalogues(NamedTuple):
    """Where the two files are."""

    turls: Path
    pool: Path

    def variables(self) -> dict[str, str]:
        """Their paths for the payload's environment."""
        return {TURLS_VARIABLE: str(self.turls), POOL_VARIABLE: str(self.pool)}


def write_catalogues(
    bundle: Bundle, inputs: Iterable[FileSpec], turls: Mapping[str, str], taken: Collection[str]
) -> InputCatalogues:
    """Write both files; safe to repeat. Raises OSError.

    `turls` are the addresses by LFN of inputs that are read where they are; all others are named by their LFN, as
    they lie in the job's directory. A name that the job uses itself (`taken`: its inputs and outputs) is left to it:
    the file is then in the private directory.
    """
    named = [(file, turls.get(file.lfn, file.lfn)) for file in inputs]
    return InputCatalogues(
        turls=_write(bundle, TURL_LIST, turl_list(address for _, address in named), taken),
        pool=_write(bundle, POOL_CATALOGUE, pool_catalogue(named), taken),
    )


def turl_list(addresses: Iterable[str]) -> str:
    """One address per line, in the job's order."""
    return "".join(f"{address}\n" for address in addresses)


def pool_catalogue(named: Iterable[tuple[FileSpec, str]]) -> str:
    """A POOL file catalogue: for each file its GUID, the address under which it is opened, and its LFN."""
    entries = "".join(
        f"  <File ID={_quoted(_guid(file))}>\n"
        f'    <physical>\n      <pfn filetype="ROOT_All" name={_quoted(address)}/>\n    </physical>\n'
        f"    <logical>\n      <lfn name={_quoted(file.lfn)}/>\n    </logical>\n"
        "  </File>\n"
        for file, address in named
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n'
        '<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory">\n'
        f"<POOLFILECATALOG>\n{entries}</POOLFILECATALOG>\n"
    )


_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def _quoted(text: str) -> str:
    """The text as an attribute's value. The standard library's own costs 60 ms of imports."""
    return f'"{text.translate(_ENTITIES)}"'


def _guid(file: FileSpec) -> str:
    """The file's GUID. Where the job gives none, one that always follows from its name: the catalogue needs a key."""
    if file.guid:
        return file.guid
    digest = hashlib.md5(f"{file.scope}:{file.lfn}".encode(), usedforsecurity=False).hexdigest().upper()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def _write(bundle: Bundle, name: str, text: str, taken: Collection[str]) -> Path:
    """Replace the file as a whole: a payload never sees half of one, and no link leads the bytes elsewhere."""
    path = Path(bundle.private if name in taken else bundle.directory, name)
    temporary = Path(bundle.private, f"{name}.new")
    fd = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(fd, text.encode())
    finally:
        os.close(fd)
    temporary.replace(path)
    return path
