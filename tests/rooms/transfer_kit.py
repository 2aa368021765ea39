"""Downloads into memory and uploads from it, for tests of transfers by http."""

import socket

import pytest

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer, TransferTrouble
from picard_pilot.testing.faulty_server import FaultyServer, Say

DATA = bytes(range(256)) * 4096
"""One MiB in which every shifted block shows."""

OPEN = StorageAccess()
PATIENT_S = 20.0


class Sent:
    """A file to send that is in memory; it counts how often it was begun."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.size_bytes = len(data)
        self.begun = 0
        self.at = 0

    def rewind(self) -> None:
        """From the beginning."""
        self.begun += 1
        self.at = 0

    def read_into(self, block: memoryview, /) -> int:
        """The next bytes."""
        piece = self.data[self.at : self.at + len(block)]
        block[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


class Got:
    """What arrived."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.heads: list[Answer] = []

    def write(self, block: memoryview) -> None:
        """Keep a block."""
        self.data += block


def get(
    transfers: HttpTransfers, url: str, access: StorageAccess = OPEN, **more: object
) -> tuple[Answer, Got]:
    """Download into memory."""
    got = Got()
    answer = transfers.download(url, access, begin=got.heads.append, write=got.write, **more)  # type: ignore[arg-type]
    return answer, got


def trouble(
    transfers: HttpTransfers, url: str, access: StorageAccess = OPEN, **more: object
) -> TransferTrouble:
    """The trouble of a download that must not succeed."""
    with pytest.raises(TransferTrouble) as raised:
        get(transfers, url, access, **more)
    return raised.value


class Parrot(FaultyServer):
    """Says these bytes to each request, whatever it is, and keeps the connection; the last ones again and again."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        super().__init__([Say()])

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        head = b""
        while more := connection.recv(65536):
            head += more
            if head.endswith(b"\r\n\r\n"):
                self.heads.append(head)
                head = b""
                connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
