"""The experiments that come with Picard, as a table of import paths: one line for each.

`KNOWN` gives for each name where the class is and what to say when importing it fails.
"""

KNOWN: dict[str, tuple[str, str]] = {
    "generic": (
        "picard_pilot.experiments.generic:Generic",
        "The generic experiment needs nothing but Picard itself: install picard-pilot again.",
    ),
    "atlas": (
        "picard_pilot.experiments.atlas.experiment:Atlas",
        "The ATLAS experiment comes with Picard and needs nothing else: install picard-pilot again.",
    ),
}
