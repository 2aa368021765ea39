"""Taking over from the caller: its order, and the descriptors it handed down. What is in the order is `launcher`'s.

The caller's side is `system.spawn`.
"""

import marshal
import posix

from picard_pilot.system.shim.protocol import CHANNEL_FD, ORDER_LENGTH_DIGITS

TYPE_CHECKING = False  # `typing` itself would cost more than everything else here
if TYPE_CHECKING:
    from typing import Any


def read_order() -> "dict[str, Any] | None":
    """The order, or None if the caller went away before it was complete: then nothing is started."""
    data, length = b"", ORDER_LENGTH_DIGITS
    while len(data) < length:
        chunk = posix.read(CHANNEL_FD, length - len(data))
        if not chunk:
            return None
        data += chunk
        if len(data) == ORDER_LENGTH_DIGITS == length:
            length += int(data)
    order: dict[str, Any] = marshal.loads(data[ORDER_LENGTH_DIGITS:])
    return order


def close_strangers(keep: tuple[int, ...]) -> None:
    """Close what a caller left open by mistake, and keep the rest from the command."""
    for name in posix.listdir("/proc/self/fd"):
        try:
            if int(name) not in keep:
                posix.close(int(name))
            elif int(name) > 2:
                posix.set_inheritable(int(name), False)
        except OSError:
            pass  # the listing's own descriptor, closed already
