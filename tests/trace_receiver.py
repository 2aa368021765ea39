"""A real service for traces on a free port, which takes them, refuses them, or never answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What came in, and how the service behaves."""

    def __init__(self, status: int) -> None:
        self.status = status
        """What it answers; 0: nothing, ever."""
        self.traces: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = threading.Event()
        self.url = ""
        self.over = threading.Event()


@contextmanager
def receiving(status: int = 201) -> Iterator[Receiver]:
    """The service as a context; it ends without waiting for those whom it left without an answer."""
    receiver = Receiver(status)

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_POST(self) -> None:
            """Take one trace."""
            document = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.asked.set()
            if receiver.status == 0:
                receiver.over.wait()
                return
            receiver.traces.append(json.loads(document))
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/traces/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
