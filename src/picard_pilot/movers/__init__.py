"""Site movers, one file each. ADD A SITE MOVER HERE: a row below, and its schemes in the second table.

Movers of other packages are found by the entry point group `picard_pilot.movers`.
"""

KNOWN: dict[str, tuple[str, str]] = {
    "local": (
        "picard_pilot.movers.local:LocalMover",
        "It is part of Picard and needs nothing else: install picard-pilot again.",
    ),
    "s3": (
        "picard_pilot.movers.s3:S3Mover",
        "It needs boto3, which signs its requests: pip install 'picard-pilot[s3]'.",
    ),
    "rucio": (
        "picard_pilot.movers.rucio:RucioCatalogue",
        "It needs rucio-clients: pip install 'picard-pilot[rucio]'.",
    ),
    "xrootd": (
        "picard_pilot.movers.xrootd:XrootdMover",
        "It needs the XRootD client: pip install 'picard-pilot[xrootd]'.",
    ),
    "http": (
        "picard_pilot.movers.http:HttpMover",
        "It is part of Picard and needs urllib3: pip install picard-pilot.",
    ),
    "gfal": (
        "picard_pilot.movers.gfal:GfalMover",
        "It is part of Picard and needs the gfal2 tools on the node: install picard-pilot again.",
    ),
    "lsm": (
        "picard_pilot.movers.lsm:LsmMover",
        "It is part of Picard and needs the site's scripts on the node: install picard-pilot again.",
    ),
    "external": (
        "picard_pilot.movers.external:ExternalMover",
        "It is part of Picard and runs the program of a name like `external:/path`: install picard-pilot again.",
    ),
}
"""Name: import path, and what to do where the import fails."""

SPEAKERS: dict[str, tuple[str, ...]] = {
    "file": ("local",),
    "srm": ("gfal",),
    "gsiftp": ("gfal",),
    "sftp": ("gfal",),
    "http": ("http", "gfal"),
    "https": ("http", "gfal"),
    "dav": ("http", "gfal"),
    "davs": ("http", "gfal"),
    "root": ("xrootd", "gfal"),
    "roots": ("xrootd", "gfal"),
    "xroot": ("xrootd",),
    "xroots": ("xrootd",),
    "s3": ("s3",),
}
"""Scheme of an address: the movers that speak it, best first; one that this node cannot have is passed over. Movers the
queue prefers come before these."""
