"""What a source of site facts is.

Merging several of them is `site.load`; the sources themselves are the files beside this one.
"""

import abc
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.site import Origin
from picard_pilot.site.errors import SiteError
from picard_pilot.site.facts import Facts

FILE_LIMIT_BYTES = 64_000_000
"""Several times all queues of the largest experiment; a larger file is a mistake."""


class SiteSource(abc.ABC):
    """Facts about queues and endpoints from one file. Read once, when it is made; raises SiteError."""

    kind: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @abc.abstractmethod
    def queue_names(self) -> tuple[str, ...]:
        """The queues it knows."""

    @abc.abstractmethod
    def queue(self, name: str) -> Facts | None:
        """What it says about a queue; None if it does not know it. Raises SiteError for a bad value."""

    @abc.abstractmethod
    def endpoint_names(self) -> tuple[str, ...]:
        """The storage endpoints it knows."""

    @abc.abstractmethod
    def endpoint(self, name: str) -> Facts | None:
        """What it says about an endpoint; None if it does not know it. Raises SiteError for a bad value."""

    def content(self) -> bytes:
        """The file's bytes. Raises SiteError if it cannot be read."""
        try:
            with self.path.open("rb") as file:
                data = file.read(FILE_LIMIT_BYTES + 1)
        except OSError as error:
            raise SiteError(
                "QUEUEDATA",
                f"The site file {self.path} cannot be read",
                error.strerror or str(error),
                "Check the path given with --site-file and the file's mode",
            ) from error
        if len(data) > FILE_LIMIT_BYTES:
            raise SiteError(
                "QUEUEDATANOTOK",
                f"The site file {self.path} is too large",
                f"more than {FILE_LIMIT_BYTES} bytes",
                "Name a file with queue or storage descriptions",
            )
        return data

    def origin(self, where: str) -> Origin:
        """Where in this source a value stands."""
        return Origin(self.kind, f"{self.path}: {where}")

    def not_readable_as(self, language: str, why: str) -> SiteError:
        """The error for a file that is not in its language."""
        return SiteError(
            "QUEUEDATANOTOK",
            f"The site file {self.path} is not {language}",
            why,
            "Mend the file at the place named, or name another one with --site-file",
        )
