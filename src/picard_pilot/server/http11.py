"""The HTTP/1.1 side of a connection: uvicorn's, with an answer's head and body sent as one TLS record."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol


class OneRecordProtocol(H11Protocol):
    """Saves one system call here and one wake-up of the caller for each answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the joining transport in between."""
        super().connection_made(cast(asyncio.Transport, _JoiningTransport(transport, self.loop)))

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way on this connection."""
        return self.cycle is None or self.cycle.response_complete


class _JoiningTransport:
    """A transport that writes once per turn of the loop; everything else is the real one's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep until the running callback has ended."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        """Write what waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
