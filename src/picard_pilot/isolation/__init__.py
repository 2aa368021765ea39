"""Ways to confine a payload, one file each. ADD A WAY TO CONFINE A PAYLOAD HERE: a row below.

Those of other packages are found by the entry point group `picard_pilot.isolation`.
"""

KNOWN: dict[str, tuple[str, str]] = {
    "none": (
        "picard_pilot.isolation.none:NoIsolation",
        "It is part of Picard and needs nothing else: install picard-pilot again.",
    ),
    "landlock": (
        "picard_pilot.isolation.landlock:Landlock",
        "It is part of Picard and needs Landlock in the kernel: install picard-pilot again.",
    ),
    "bubblewrap": (
        "picard_pilot.isolation.bubblewrap:Bubblewrap",
        "It is part of Picard and needs bwrap on the node: install picard-pilot again.",
    ),
    "apptainer": (
        "picard_pilot.isolation.apptainer:Apptainer",
        "It is part of Picard and needs apptainer on the node: install picard-pilot again.",
    ),
    "sudo": (
        "picard_pilot.isolation.sudo:Sudo",
        "It is part of Picard and needs sudo and a rule of the site: install picard-pilot again.",
    ),
    "glexec": (
        "picard_pilot.isolation.glexec:Glexec",
        "It is part of Picard and needs gLExec on the node: install picard-pilot again.",
    ),
}
"""Name: import path, and what to do where the import fails."""
