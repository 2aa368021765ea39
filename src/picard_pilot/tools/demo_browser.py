"""Opening a page in the person's browser, where there is one. What the page shows is `server.pages`."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

#: Without a display the standard library would take a text browser, which would paint over the table.
_WINDOWS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")

#: Browsers hand the address on in less; one that does not return stays as long as its window.
HAND_OVER_S = 3.0


async def open_in_browser(url: str) -> bool:
    """Whether a browser took the address. Never waits for its window to be closed."""
    if not any(os.environ.get(name) for name in _WINDOWS):
        return False
    import threading
    import webbrowser  # heavy, and rarely wanted

    loop = asyncio.get_running_loop()
    taken: asyncio.Future[bool] = loop.create_future()

    def hand_over() -> None:
        answer = webbrowser.open(url)
        with suppress(RuntimeError):  # the demonstration ended before the browser did
            loop.call_soon_threadsafe(taken.set_result, answer)

    # A daemon: the end of the demonstration does not wait for the end of the browser.
    threading.Thread(target=hand_over, name="browser", daemon=True).start()
    done, _ = await asyncio.wait({taken}, timeout=HAND_OVER_S)
    return taken.result() if done else True
