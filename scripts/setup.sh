#!/usr/bin/env bash
# Makes the virtual environment that make demo, make test and make bench use.
# Installs into the given folder only; as root it may also install the system packages that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }

# The first interpreter on the path that is new enough; `python3` first, since that is what people chose.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

apt_updated=
apt_install() { # packages
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "setup: installing $* with apt-get"
    if [ -z "$apt_updated" ]; then
        apt-get update -qq >/dev/null 2>&1 || true
        apt_updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

python=$(find_python) || {
    apt_install python3 python3-venv || true
    python=$(find_python) || {
        say "setup: Python 3.11 or later is needed; install it (Debian 12: apt-get install python3 python3-venv) and run make again."
        exit 1
    }
}

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    apt_install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" ||
        apt_install python3-venv || true
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || {
        say "setup: $python has no venv module; install it (Debian: apt-get install python3-venv) and run make again."
        exit 1
    }
fi

say "setup: $("$python" --version) ($python) -> $venv"
rm -f "$venv/.ready"
if [ -e "$venv" ] && ! "$venv/bin/python" -c '' >/dev/null 2>&1; then rm -rf "$venv"; fi
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
"$venv/bin/python" -m compileall -q src || true

# The monitor's tests drive a real browser.
if ! command -v chromium >/dev/null 2>&1 && [ -z "${PICARD_NO_BROWSER:-}" ]; then
    apt_install chromium || say "setup: no chromium here; the monitor's browser tests will be skipped and say so (Debian: apt-get install chromium)."
fi
touch "$venv/.ready"
