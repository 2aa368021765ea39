"""A pilot with secrets, for the isolation suite: it starts one confined payload and says how it ended.

Its environment, its memory, an open descriptor and its files hold a marker that no payload may ever see.
"""

import asyncio
import ctypes
import json
import mmap
import os
import signal
import socket
import sys
from pathlib import Path

from picard_pilot.system.run import run
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.strays import IPC_RMID

IPC_CREAT = 0o1000


def renew(ready: int, told: int, credential: Path) -> None:
    """Put a newer credential in the old one's place, now that the payload runs, and tell it."""
    os.read(ready, 100)
    newer = credential.with_name("newer")
    newer.write_bytes(credential.read_bytes())
    newer.chmod(0o600)
    newer.replace(credential)
    os.write(told, b"now")


def named_memory(key: int, secret: bytes) -> int:
    """The number of new shared memory with this key and the secret in it."""
    library = ctypes.CDLL(None)
    library.shmat.restype = ctypes.c_void_p
    number = call("shmget", key, mmap.PAGESIZE, IPC_CREAT | 0o666)
    address = library.shmat(number, None, 0)
    ctypes.memmove(address, secret, len(secret))
    return number


async def main() -> None:
    """Take an order as JSON from the standard input; print the result as JSON."""
    order = json.loads(sys.stdin.buffer.read())
    heard: list[int] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: heard.append(signal.SIGUSR1))
    os.chdir(order["work"])
    # Open and inheritable, as a careless library would leave it.
    os.set_inheritable(os.open(order["open"], os.O_RDONLY), True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(order["attempts"]["socket"])
    door.listen()
    memory = named_memory(order["attempts"]["memory_key"], Path(order["open"]).read_bytes())
    Path(order["plan"]).write_text(json.dumps(order["attempts"] | {"pilot_pid": os.getpid()}))
    Path(order["plan"]).chmod(0o644)
    ready, told = (os.open(order[name], os.O_RDWR | os.O_NONBLOCK) for name in ("ready", "renewed"))
    asyncio.get_running_loop().add_reader(ready, renew, ready, told, Path(order["open"]))
    result = await run(
        order["argv"],
        cwd=Path(order["cwd"]),
        env=order["environment"],
        time_limit_s=order["time_limit_s"],
    )
    door.close()
    call("shmctl", memory, IPC_RMID, 0)
    print(  # noqa: T201 - its answer
        json.dumps(
            {
                "exit_code": result.exit_code,
                "signal": result.signal,
                "ended_by": result.ended_by.value,
                "stdout": result.stdout_tail,
                "stderr": result.stderr_tail,
                "start_error": repr(result.start_error),
                "survivors": result.survivors,
                "signals_heard": len(heard),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
