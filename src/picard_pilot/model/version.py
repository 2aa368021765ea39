"""Picard's version, as pyproject.toml has it; a test compares the two.

Not read from the package's metadata, which takes 50 ms.
"""

VERSION = "0.1.0"
