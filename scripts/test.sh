#!/usr/bin/env bash
# All checks and all tests. With arguments: pytest alone, with those arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then exec scripts/alone.sh .venv/bin/python -m pytest "$@"; fi
scripts/check.sh
exec scripts/alone.sh .venv/bin/python -m pytest -n 3 --dist loadgroup
