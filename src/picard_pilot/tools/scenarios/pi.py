"""The number pi from random points in a square: a small payload with one output, and nothing to stage in.

It needs the standard library only and writes what it found; the seed makes it find the same again.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

#: Enough for three digits, and two or three seconds of work: time to look at a running job.
POINTS = 6_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Draw points, count those in the quarter circle, write the estimate."""
    parser = argparse.ArgumentParser(description="pi from random points")
    parser.add_argument("output", type=Path, help="text file to write")
    parser.add_argument("--seed", type=int, required=True, help="where the random numbers start")
    parser.add_argument("--points", type=int, default=POINTS, help="how many points to draw")
    options = parser.parse_args(argv)
    draw = random.Random(options.seed).random
    inside = sum(draw() ** 2 + draw() ** 2 <= 1.0 for _ in range(options.points))
    share = inside / options.points
    estimate = 4 * share
    error = 4 * math.sqrt(share * (1 - share) / options.points)
    found = f"pi = {estimate:.4f} +- {error:.4f} from {options.points} points"
    options.output.write_text(found + "\n", encoding="utf-8")
    sys.stdout.write(found + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
