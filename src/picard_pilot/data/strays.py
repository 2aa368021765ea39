"""Copies of an output that do not count: a storage that was given up may have taken the file after all.

Which place counts is in the journal; here the others are looked at, and what is surely that file is removed.
"""

import posixpath
from collections.abc import Mapping
from urllib.parse import urlsplit

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import FilePlace, StoredFile
from picard_pilot.model.transfer import RemoveRequest, StatRequest, TransferContext, TransferFailure


def strays_of(stored: StoredFile, touched: tuple[FilePlace, ...]) -> tuple[FilePlace, ...]:
    """The places that may hold a copy beside the one that counts. Another door of the same endpoint, or of the same
    host, shows the same file, and is none."""
    return tuple(
        place
        for place in touched
        if place.endpoint != stored.endpoint and _where(place.surl) != _where(stored.surl)
    )


def _where(surl: str) -> tuple[str, str]:
    """Host and path of an address, without what differs from door to door."""
    parts = urlsplit(surl)
    return (parts.hostname or "", posixpath.normpath("/" + parts.path.lstrip("/")))


def all_strays(
    stored: Mapping[str, StoredFile], touched: Mapping[str, tuple[FilePlace, ...]]
) -> list[tuple[StoredFile, FilePlace]]:
    """Every stored file with each place that may hold a copy of it that does not count."""
    return [
        (stored[lfn], place)
        for lfn, places in touched.items()
        if lfn in stored
        for place in strays_of(stored[lfn], places)
    ]


async def clear(
    worker: TransferWorker,
    stored: StoredFile,
    place: FilePlace,
    movers: tuple[str, ...],
    context: TransferContext,
) -> str:
    """See to it that a place holds no copy of the file; what was found and done, in words. May be repeated.

    Only a file with the same size and checksum is removed: another one may be somebody else's.
    """
    facts = await worker.stat(
        StatRequest(surl=place.surl, measure=stored.checksum.kind, movers=movers, context=context)
    )
    if isinstance(facts, TransferFailure):
        return f"could not be looked at and may hold a copy that is not registered: {facts.says}"
    if not facts.exists:
        return "holds no copy"
    if facts.size_bytes != stored.size_bytes or facts.checksum not in (None, stored.checksum):
        return "holds another file of that name, which was left alone"
    if facts.checksum is None:
        return "holds a file of that name and size but tells no checksum; it was left alone, not registered"
    removed = await worker.remove(RemoveRequest(surl=place.surl, movers=movers, context=context))
    if isinstance(removed, TransferFailure):
        return f"holds a copy that is not registered and could not be removed: {removed.says}"
    return "had taken the file late; that copy was removed"
