"""Fails when a source file is longer than the house rule allows: a file is one idea."""

import pathlib
import sys

LIMIT_LINES = 400

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    """Print each file over the limit; 1 if there is one."""
    long = []
    for folder in ("src", "tests", "benchmarks", "examples", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count > LIMIT_LINES:
                long.append(f"{path.relative_to(ROOT)}: {count} lines, more than {LIMIT_LINES}; split it")
    sys.stderr.write("".join(line + "\n" for line in long))
    return 1 if long else 0


if __name__ == "__main__":
    sys.exit(main())
