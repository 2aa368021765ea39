"""The server's address as the pilot and the tools use it, from what people write. Contacting it is not here."""

from picard_pilot.settings.read import SettingsTrouble
from picard_pilot.settings.settings import Settings

PANDA_PORT = 25443
"""Where PanDA servers listen for pilots with TLS."""


def server_address(settings: Settings) -> str:
    """The server's base address, `https://host:port` without a trailing slash.

    A bare host means https; without a port, the setting `port` or 25443 counts. Raises SettingsTrouble if no server
    is named, if the address is not one, or if it says http and `plain_http` does not permit that.
    """
    from urllib.parse import urlsplit  # the pilot needs it for the server anyway; people's help does not

    text = settings.server_url
    if text is None:
        raise SettingsTrouble(
            "No PanDA server is named",
            "neither --server nor PICARD_SERVER nor the settings file gives an address",
            "Say which one: --server https://panda.example.org:25443",
        )
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        raise _bad(text, "its port is not a number between 1 and 65535") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise _bad(text, "it is not an address that begins with https://")
    if parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise _bad(f"{parts.scheme}://{parts.hostname}", "it holds more than scheme, host and port")
    if parts.scheme == "http" and not settings.plain_http:
        raise SettingsTrouble(
            "The server's address says http",
            f"{text}: without TLS anybody on the way can read the credential",
            "Use https, or permit it with --plain-http on a host that only you use",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or settings.port or PANDA_PORT}"


def _bad(text: str, why: str) -> SettingsTrouble:
    return SettingsTrouble(
        "The server's address cannot be used",
        f"{text!r}: {why}",
        "Write it like https://panda.example.org:25443",
    )
