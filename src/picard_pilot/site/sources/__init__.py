"""Sources of site facts, one file each. ADD A SOURCE OF SITE FACTS HERE: a row below."""

KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "toml": ("picard_pilot.site.sources.toml:TomlSource", (".toml",)),
    "cric": ("picard_pilot.site.sources.cric:CricSource", (".json",)),
}
"""Name: import path, and the endings of the file names that it reads when a source is given as a file alone."""
