"""The HTTP/1.1 side of a connection: uvicorn's, with an answer's head and body sent as one TLS record.

TLS and the calls themselves are not here.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

GOODBYE_S = 0.5
"""Seconds for the other side's TLS goodbye: idle pilots do not read, and asyncio would wait half a minute."""


class OneRecordProtocol(H11Protocol):
    """Saves one system call here and one wake-up of the caller for each answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the joining transport in between. uvicorn declares a narrower transport than asyncio gives."""
        self._joining = _JoiningTransport(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._joining))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to write or to wait for."""
        self._joining.lost()
        super().connection_lost(exc)

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
        self._goodbye: asyncio.TimerHandle | None = None
        self._lost = False

    def write(self, data: bytes) -> None:
        """Keep until the running callback has ended."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        """Write what waits, then close; a caller that does not answer the TLS goodbye is not waited for."""
        if self._goodbye is not None:
            return
        self._flush()
        self._transport.close()
        if self._lost:  # uvicorn closes even then; a TLS transport that is gone answers no question any more
            return
        self._goodbye = self._loop.call_later(GOODBYE_S, self._abort_if_written)

    def lost(self) -> None:
        """The connection is gone."""
        self._lost = True
        self._waiting.clear()
        if self._goodbye is not None:
            self._goodbye.cancel()

    def _abort_if_written(self) -> None:
        if self._transport.get_write_buffer_size() > 0:
            self._goodbye = self._loop.call_later(GOODBYE_S, self._abort_if_written)
        else:
            self._transport.abort()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
