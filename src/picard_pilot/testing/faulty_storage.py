"""A storage that speaks HTTP and WebDAV on loopback and fails as told; its files are plain files in a folder.

How it speaks is `storage_door`. In a test:

    with FaultyStorage(tmp_path) as storage:
        storage.put("in.root", content)              # the file behind storage.surl("in.root")
        storage.fault("GET", status=503, retry_after="7", last=2)  # the first two; the third one works
        storage.fault("GET", "in.root", hang_at=1000)              # a frozen server in mid-file
        ...
        assert storage.count("GET") == 3

Faults are tried in the order in which they were given; the first that matches and is not used up happens.
"""

import base64
import fnmatch
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import msgspec

from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.testing.mover_kit import Storage
from picard_pilot.testing.storage_door import Door
from picard_pilot.testing.storage_faults import Fault, Rules, StorageRequest

PREFIX = "/data"
FOLDER = "scope"


class FaultyStorage(Storage):
    """The storage, a context manager; `rules` says what it can do, and may be changed while it runs.

    `tls` makes it https; then say with `host` for which name its certificate is. `pause` waits for so many seconds
    in place of real time, for tests on a clock of their own; it is called in a thread of the server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "FAULTY",
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        pause: Callable[[float], object] | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.folder = folder
        self.rules = rules or Rules()
        (folder / PREFIX.strip("/")).mkdir(parents=True, exist_ok=True)
        self._door = Door(folder, self.rules, tls, pause)
        self.url = f"{'https' if tls else 'http'}://{host}:{self._door.port}"
        self.endpoint = Endpoint(name=name, protocols=(Protocol(prefix=f"{self.url}{PREFIX}"),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End for good; whatever hangs is cut."""
        self._door.close()

    def down(self) -> None:
        """Nobody listens any more and all connections are cut, until `up`."""
        self._door.down()

    def up(self) -> None:
        """Listen again, on the same port."""
        self._door.up()

    # files, seen past the door

    def surl(self, name: str) -> str:
        """The address of a file, one folder deep."""
        return f"{self.url}{PREFIX}/{FOLDER}/{quote(os.fsencode(name), safe='')}"

    def path(self, name: str) -> Path:
        """Where the file lies."""
        return self.folder / PREFIX.strip("/") / FOLDER / name

    def put(self, name: str, data: bytes) -> None:
        """Make a file exist."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(data)

    def put_sparse(self, name: str, size_bytes: int) -> None:
        """Make a large file of zeros exist that takes no room."""
        self.put(name, b"")
        os.truncate(self.path(name), size_bytes)

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if there is none."""
        return self.path(name).read_bytes() if self.path(name).is_file() else None

    def leftovers(self) -> list[str]:
        """Names of files that look temporary."""
        return sorted(path.name for path in self.folder.rglob(".*.part"))

    # what goes wrong

    def fault(self, method: str = "*", name: str = "*", **what: object) -> Fault:
        """Let requests go wrong: `method` and the file's `name` may hold `*` and `?`; `what` is `Fault`'s."""
        made = msgspec.convert({"method": method, "name": name, **what}, Fault)
        self._door.faults.append(made)
        return made

    def heal(self) -> None:
        """Forget all faults."""
        self._door.faults.clear()

    # what was asked

    @property
    def requests(self) -> list[StorageRequest]:
        """All requests so far, as they came."""
        return list(self._door.requests)

    @property
    def connections(self) -> int:
        """How many connections came so far."""
        return self._door.connections

    def count(self, method: str = "*", name: str = "*") -> int:
        """How many requests came with this method for files with such a name."""
        return sum(
            fnmatch.fnmatchcase(seen.method, method) and fnmatch.fnmatchcase(seen.name, name)
            for seen in self.requests
        )

    # who may come

    def token(self, life_s: float = 600.0) -> str:
        """A token that this storage takes until its `exp`; from the first one on nobody comes without.

        A negative life has passed. It is a JWT in form, and its signature is chance.
        """
        claims = {"sub": "pilot", "exp": int(time.time() + life_s)}
        parts = [_coded(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)]
        token = ".".join([*parts, _coded(secrets.token_bytes(32))])
        self.rules.tokens[token] = time.time() + life_s
        return token

    def presigned(self, name: str, method: Literal["GET", "PUT"] = "GET", life_s: float = 600.0) -> str:
        """An address that lets its bearer do this one thing, in the form of S3's."""
        signature = secrets.token_hex(32)
        self.rules.signatures[signature] = (method, time.time() + life_s)
        began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + min(life_s, 0.0) - 1))
        valid_s = max(int(life_s), 0) + 1
        return f"{self.surl(name)}?X-Amz-Date={began}&X-Amz-Expires={valid_s}&X-Amz-Signature={signature}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
