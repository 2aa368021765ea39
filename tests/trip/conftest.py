"""Shared by the trips: a work directory as a node has it, and a word to know by what was left there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import clean_kit
import pytest


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A word that nothing else on the node has in its name."""
    word = f"mark-{os.urandom(6).hex()}"
    yield word
    clean_kit.end(word, tmp_path / "diary")


@pytest.fixture
def workdir(mark: str) -> Iterator[Path]:
    """A work directory with a short path, as a node's are: a payload has its own TMPDIR there."""
    made = Path(f"/tmp/w-{os.urandom(4).hex()}")
    made.mkdir(mode=0o700)
    yield made
    shutil.rmtree(made)
