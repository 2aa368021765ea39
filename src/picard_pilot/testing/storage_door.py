"""The HTTP door of a faulty storage: GET, HEAD, PUT, DELETE, MKCOL, MOVE and PROPFIND over a folder, with faults.

What a test calls is `faulty_storage`.
"""

import base64
import fnmatch
import hashlib
import os
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from picard_pilot.testing.faulty_server import FaultyServer, Say, reset_at_close
from picard_pilot.testing.storage_faults import Fault, Rules, StorageRequest

PIECE_BYTES = 64 << 10
SLOW_PIECES_PER_S = 50
MAX_HEAD_BYTES = 64 << 10
QUOTA = (
    '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/</D:href><D:propstat><D:prop>{}'
    "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
)


class Gone(Exception):
    """The connection must end now."""


class Door(FaultyServer):
    """The server; each connection has a thread."""

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        tls: ssl.SSLContext | None,
        pause: Callable[[float], object] | None,
    ) -> None:
        self.folder = folder
        self.rules = rules
        self.faults: list[Fault] = []
        self.requests: list[StorageRequest] = []
        self._matched: list[Fault] = []
        self._pause = pause
        super().__init__([Say()], tls=tls)

    def wait(self, seconds: float) -> None:
        """Let time pass, on whichever clock; shorter where the server goes down."""
        if self._pause is not None:
            self._pause(seconds)
        else:
            self.closing.wait(seconds)

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve requests until the client goes or a fault ends it."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as stream:
            try:
                while (request := _read_head(stream, number)) is not None:
                    self.requests.append(request)
                    fault = self._fault(request) or Fault()
                    Exchange(self, connection, stream, request, fault).serve()
            except Gone:
                pass

    def _fault(self, request: StorageRequest) -> Fault | None:
        for fault in list(self.faults):
            if not fnmatch.fnmatchcase(request.method, fault.method):
                continue
            if not fnmatch.fnmatchcase(request.name, fault.name):
                continue
            self._matched.append(fault)
            count = sum(before is fault for before in self._matched)
            if fault.first <= count and (fault.last is None or count <= fault.last):
                return fault
        return None


class Exchange:
    """One request being served."""

    def __init__(
        self,
        door: Door,
        connection: socket.socket,
        stream: BinaryIO,
        request: StorageRequest,
        fault: Fault,
    ) -> None:
        self.door = door
        self.rules = door.rules
        self.connection = connection
        self.stream = stream
        self.request = request
        self.fault = fault
        self.left_bytes = int(request.headers.get("content-length", "0"))
        self.path = _path(door.folder, request.target)

    def serve(self) -> None:
        """Do what is asked, or what the fault says."""
        if self.fault.delay_s:
            self.door.wait(self.fault.delay_s)
        self._end_at(-1)
        if self.fault.redirect is not None:
            self.answer(self.fault.status or 307, headers={"Location": self.fault.redirect})
        elif self.fault.status is not None:
            more = {"Retry-After": self.fault.retry_after} if self.fault.retry_after else {}
            self.answer(self.fault.status, self.fault.body.encode(), more)
        elif (refusal := self._refusal()) is not None:
            self.answer(refusal, b"you are not welcome\n")
        else:
            verb: Callable[[], None] = getattr(self, f"do_{self.request.method.lower()}", self._unknown)
            verb()

    # verbs

    def do_head(self) -> None:
        self._send_file(with_body=False)

    def do_get(self) -> None:
        self._send_file(with_body=True)

    def do_put(self) -> None:
        if self.request.headers.get("if-none-match") == "*" and self.path.exists():
            return self.answer(412)
        if self.path.is_dir():
            return self.answer(409)
        if not self.path.parent.is_dir():
            if not self.rules.makes_folders:
                return self.answer(409, b"the folder is missing\n")
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if "expect" in self.request.headers:
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._receive():
            self.answer(201)
        return None

    def do_delete(self) -> None:
        if not self.path.is_file():
            return self.answer(404)
        self.path.unlink()
        return self.answer(204)

    def do_mkcol(self) -> None:
        if self.path.exists():
            return self.answer(405)
        if not self.path.parent.is_dir():
            return self.answer(409)
        self.path.mkdir()
        return self.answer(201)

    def do_move(self) -> None:
        if not self.rules.move:
            return self.answer(501, b"this storage cannot move\n")
        target = _path(self.door.folder, urlsplit(self.request.headers["destination"]).path)
        if not self.path.is_file():
            return self.answer(404)
        if target.exists() and self.request.headers.get("overwrite") == "F":
            return self.answer(412)
        self.path.rename(target)
        return self.answer(201)

    def do_propfind(self) -> None:
        free = self.rules.free_bytes if self.rules.tells_quota else None
        told = f"<D:quota-available-bytes>{free}</D:quota-available-bytes>" if free is not None else ""
        self.answer(207, QUOTA.format(told).encode(), {"Content-Type": "application/xml"})

    def _unknown(self) -> None:
        self.answer(405)

    # going out

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """A short answer, after whatever the client still sends."""
        if self.left_bytes and "expect" not in self.request.headers:
            self.stream.read(self.left_bytes)
        self.left_bytes = 0
        if self.fault.lose_answer:
            self._end(reset=True)
        shown = b"" if self.request.method == "HEAD" else body
        self.connection.sendall(_head(status, len(body), headers or {}) + shown)

    def _send_file(self, *, with_body: bool) -> None:
        if self.path.is_dir():
            return self.answer(409, b"that is a folder\n")
        try:
            file = self.path.open("rb")
        except OSError:
            return self.answer(404, b"<html><h1>Not Found</h1>there is no such file</html>\n")
        with file:
            facts = os.fstat(file.fileno())
            size_bytes, tag = facts.st_size, f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
            headers = {"ETag": tag} if self.rules.etags else {}
            if (digest := self._digest(file)) is not None:
                headers["Digest"] = digest
            status, begin, end = self._range(size_bytes, tag)
            if status == 416:
                return self.answer(416, b"", {"Content-Range": f"bytes */{size_bytes}"})
            if status == 206:
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size_bytes}"
            announced = end - begin if self.fault.announce is None else self.fault.announce
            head = _head(status, announced, headers)
            if not with_body:
                return self.connection.sendall(head)
            self._stream_out(head, file, begin, end)
        return None

    def _range(self, size_bytes: int, tag: str) -> tuple[int, int, int]:
        """Status, begin and end."""
        said = self.request.headers.get("range", "")
        if not said.startswith("bytes=") or not self.rules.ranges:
            return 200, 0, size_bytes
        if self.request.headers.get("if-range", tag) != tag:
            return 200, 0, size_bytes
        first, _, last = said.removeprefix("bytes=").partition("-")
        if int(first) >= size_bytes:
            return 416, 0, 0
        return 206, int(first), min(int(last) + 1 if last else size_bytes, size_bytes)

    def _digest(self, file: BinaryIO) -> str | None:
        if self.fault.digest is not None:
            return self.fault.digest or None
        for wanted in self.request.headers.get("want-digest", "").split(","):
            kind = wanted.partition(";")[0].strip().lower()
            if kind in self.rules.digests:
                file.seek(0)
                if kind == "md5":
                    running = hashlib.md5(usedforsecurity=False)
                    while piece := file.read(PIECE_BYTES):
                        running.update(piece)
                    return f"md5={base64.b64encode(running.digest()).decode()}"
                value = 1
                while piece := file.read(PIECE_BYTES):
                    value = zlib.adler32(piece, value)
                return f"adler32={value:08x}"
        return None

    def _stream_out(self, head: bytes, file: BinaryIO, begin: int, end: int) -> None:
        waiting = head
        middle = (begin + end) // 2
        file.seek(begin)
        at = begin
        if 0 in (self.fault.hang_at, self.fault.cut_at):
            self.connection.sendall(head)
            self._end_at(0)
        while at < end:
            piece = file.read(min(self._piece_bytes(at), end - at))
            if self.fault.spoil and at <= middle < at + len(piece):
                piece = _spoilt(piece, middle - at)
            self.connection.sendall(waiting + piece)
            waiting = b""
            at += len(piece)
            self._pace(len(piece))
            self._end_at(at)
        if waiting:
            self.connection.sendall(waiting)
        if self.fault.announce is not None and self.fault.announce != end - begin:
            raise Gone

    # coming in

    def _receive(self) -> bool:
        """The body into the file; False where there was no room, which has been answered."""
        at, middle = 0, self.left_bytes // 2
        with self.path.open("wb") as file:
            self._end_at(0)
            while self.left_bytes:
                piece = self.stream.read(min(self._piece_bytes(at), self.left_bytes))
                if not piece:
                    raise Gone
                self.left_bytes -= len(piece)
                if self.rules.free_bytes is not None:
                    if len(piece) > self.rules.free_bytes:
                        self._full()
                        return False
                    self.rules.free_bytes -= len(piece)
                if self.fault.spoil and at <= middle < at + len(piece):
                    piece = _spoilt(piece, middle - at)
                file.write(piece)
                file.flush()
                at += len(piece)
                self._pace(len(piece))
                self._end_at(at)
        return True

    def _full(self) -> None:
        if self.rules.full_says is None:
            self._end(reset=True)
        self.stream.read(self.left_bytes)
        self.left_bytes = 0
        self.answer(self.rules.full_says or 507)

    # what goes wrong on the way

    def _piece_bytes(self, at: int) -> int:
        """Up to the next point where something happens."""
        limit = PIECE_BYTES
        if self.fault.bytes_per_s is not None:
            limit = max(1, int(self.fault.bytes_per_s / SLOW_PIECES_PER_S))
        for point in (self.fault.hang_at, self.fault.cut_at):
            if point is not None and at < point:
                limit = min(limit, point - at)
        return limit

    def _pace(self, count: int) -> None:
        if self.fault.bytes_per_s is not None:
            self.door.wait(count / self.fault.bytes_per_s)

    def _end_at(self, at: int) -> None:
        if self.fault.hang_at == at:
            self.door.closing.wait()
            raise Gone
        if self.fault.cut_at == at:
            self._end(self.fault.reset)

    def _end(self, reset: bool) -> None:
        if reset:
            reset_at_close(self.connection)
        raise Gone

    def _refusal(self) -> int | None:
        """The status for who may not do this; None for who may."""
        said = self.request.headers.get("authorization", "")
        signature = parse_qs(urlsplit(self.request.target).query).get("X-Amz-Signature")
        if signature:
            method, end = self.rules.signatures.get(signature[0], ("", 0.0))
            if said:
                return HTTPStatus.BAD_REQUEST  # S3: only one way to say who one is
            return None if method == self.request.method and end > time.time() else HTTPStatus.FORBIDDEN
        if not self.rules.tokens:
            return None
        end = self.rules.tokens.get(said.removeprefix("Bearer "), 0.0)
        return None if end > time.time() else self.rules.refuses_with


def _spoilt(piece: bytes, at: int) -> bytes:
    return piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Scripted"
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _path(folder: Path, target: str) -> Path:
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in target.partition("?")[0].split("/")]
    kept = [part for part in parts if part]
    if any(part in (".", "..") or "/" in part or "\0" in part for part in kept):
        raise Gone
    return folder.joinpath(*kept)


def _read_head(stream: BinaryIO, number: int) -> StorageRequest | None:
    words = stream.readline(MAX_HEAD_BYTES).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline(MAX_HEAD_BYTES).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    last = words[1].partition("?")[0].rstrip("/").rpartition("/")[2]
    return StorageRequest(
        method=words[0],
        target=words[1],
        name=os.fsdecode(unquote_to_bytes(last)),
        headers=headers,
        connection=number,
        arrived=time.monotonic(),
    )
