"""Site movers, one file each. ADD A SITE MOVER HERE: a row below, and its schemes in the second table.

Movers of other packages are found by the entry point group `picard_pilot.movers`.
"""

KNOWN: dict[str, tuple[str, str]] = {
    "local": (
        "picard_pilot.movers.local:LocalMover",
        "It is part of Picard and needs nothing else: install picard-pilot again.",
    ),
    "rucio": (
        "picard_pilot.movers.rucio:RucioCatalogue",
        "It needs rucio-clients: pip install 'picard-pilot[rucio]'.",
    ),
    "xrootd": (
        "picard_pilot.movers.xrootd:XrootdMover",
        "It needs the XRootD client: pip install 'picard-pilot[xrootd]'.",
    ),
}
"""Name: import path, and what to do where the import fails."""

SPEAKERS: dict[str, tuple[str, ...]] = {
    "file": ("local",),
    "root": ("xrootd",),
    "roots": ("xrootd",),
    "xroot": ("xrootd",),
    "xroots": ("xrootd",),
}
"""Scheme of an address: the movers that speak it, best first. Movers the queue prefers come before these."""
