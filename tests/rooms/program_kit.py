"""Programs for movers that run one: scripts of one test, in a folder of its own."""

import sys
from pathlib import Path


def script(folder: Path, name: str, text: str) -> Path:
    """An executable Python script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path
