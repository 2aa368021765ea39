"""What the launcher and its callers agree on: descriptors, file names, records. Nothing is done here.

The callers' side of it, with typed records, is `system.records`.
"""

PROTOCOL = 1
"""Of orders and records; a launcher that was updated under a running pilot says so instead of guessing."""

CHANNEL_FD = 3
"""A socket: the order comes in on it and records go out. Descriptors 0, 1 and 2 are the command's."""
LOCK_FD = 4
"""The locked lock file of a detached command; the lock is free when the launcher is gone, however it went."""
ORDER_LENGTH_DIGITS = 10
"""An order is this many decimal digits, then that many bytes of `marshal`, which is built in and needs no text."""

LOCK_FILE = "lock"
STARTED_FILE = "started.json"
EXIT_FILE = "exit.json"
CONTROL_FILE = "control"
SEEN_FILE = "seen"
"""A record for each thing that the command made outside of its directory, as far as the launcher saw it."""
SEEN_BYTES = 1 << 20
"""No more is written there, and no more is read: some thousand things."""
RECORD_BYTES = 4096
"""One block of every usual file system, so that overwriting it in place needs no new one."""

KILL_PATIENCE_S = 5.0
"""How long the same processes may withstand SIGKILL (another user's, stuck in the kernel) until they are left."""

LAUNCHER_NAME = b"picard-shim"
"""What ps and top call it; at most 15 characters."""

Value = int | float | str | None


def checksum(data: bytes) -> int:
    """Adler-32, so that a torn record is recognised; written out, since zlib is not built in everywhere."""
    low, high = 1, 0
    for byte in data:
        low = (low + byte) % 65521
        high = (high + low) % 65521
    return high << 16 | low


def word(text: str) -> str:
    """At most 40 letters, digits and `_`, fit for a record and for a log line."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text)[:40] or "asked"


def encode_record(fields: dict[str, Value]) -> bytes:
    """One line of JSON that ends in its own checksum. Texts must be plain words: nothing is escaped."""
    parts = []
    for name, value in fields.items():
        text = "null" if value is None else f'"{value}"' if isinstance(value, str) else repr(value)
        parts.append(f'"{name}": {text}')
    body = "{" + ", ".join(parts)
    return f'{body}, "check": {checksum(body.encode())}}}\n'.encode()


def verified_record(data: bytes) -> bytes | None:
    """The first line of `data` if it is a whole record; None if it is blank, torn or something else."""
    line = data.partition(b"\n")[0].strip()
    body, found, check = line.rpartition(b', "check": ')
    if not found or not check.endswith(b"}") or not check[:-1].isdigit():
        return None
    return line if int(check[:-1]) == checksum(body) else None
