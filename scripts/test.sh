#!/usr/bin/env bash
# All checks and all tests. With arguments: pytest alone, with those arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

# XRootD's servers listen on every address of the machine, so as root the tests get a network of their own: nobody
# can reach it, and every look-up of a name is answered at once.
alone=()
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null 2>&1 && unshare -n true 2>/dev/null; then
    alone=(unshare -n sh -c 'ip link set lo up && exec "$@"' sh)
fi

if [ $# -gt 0 ]; then exec "${alone[@]}" .venv/bin/python -m pytest "$@"; fi
scripts/check.sh
exec "${alone[@]}" .venv/bin/python -m pytest -n 3 --dist loadgroup
