#!/usr/bin/env bash
# The static checks: format, lint, types, import rules, dead code, file length.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff format --check --quiet . || { echo "check: run .venv/bin/ruff format ." >&2; exit 1; }
$bin/ruff check --quiet .
$bin/mypy --no-error-summary
$bin/lint-imports --no-cache >/tmp/picard-imports.$$ 2>&1 || { cat /tmp/picard-imports.$$; rm -f /tmp/picard-imports.$$; exit 1; }
rm -f /tmp/picard-imports.$$
$bin/vulture src scripts/vulture_allow.py --min-confidence 80
$bin/python scripts/file_length.py
$bin/python scripts/reference.py --check
echo "check: format, lint, types, imports, dead code and file length are fine"
