#!/usr/bin/env bash
# Makes the virtual environment that make demo, make test and make bench use.
# Installs into the given folder only; as root it may also install the system packages that are missing.
set -euo pipefail
cd -P "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# The first interpreter on the path that is new enough and passes the test given; `python3` first, since that is
# what people chose.
find_python() { # test
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if is_new_enough "$name" && "$1" "$name"; then
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
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

find_python true >/dev/null || apt_install python3 python3-venv || true
found=$(find_python true) || {
    say "setup: Python 3.11 or later is needed; install it (Debian 12: apt-get install python3 python3-venv) and run make again."
    exit 1
}
python=$(find_python has_venv) || {
    package=python$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    apt_install "$package" || apt_install python3-venv || true
    python=$(find_python has_venv) || {
        say "setup: $found has no venv module; install it (Debian: apt-get install $package) and run make again."
        exit 1
    }
}

say "setup: $("$python" --version) ($python) -> $venv; this takes a minute or two"
rm -f "$venv/.ready"
# One that was made here with the same Python is kept; scripts in one that was moved point to where it was.
made_for="$PWD $("$python" -c 'import sys; print(sys.version, sys.base_prefix)')"
if [ "$made_for" != "$(cat "$venv/.made-for" 2>/dev/null)" ] || ! "$venv/bin/python" -c '' >/dev/null 2>&1; then
    rm -rf "$venv"
fi
"$python" -m venv "$venv"
printf '%s\n' "$made_for" >"$venv/.made-for"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]' || {
    say "setup: pip could not install what pyproject.toml names; its reason is above. Mend it (often the network or a proxy) and run make again."
    exit 1
}
"$venv/bin/python" -m compileall -q src || true

# The monitor's tests drive a real browser.
if ! command -v chromium >/dev/null 2>&1 && [ -z "${PICARD_NO_BROWSER:-}" ]; then
    apt_install chromium || say "setup: no chromium here; the monitor's browser tests will be skipped and say so (Debian: apt-get install chromium)."
fi
printf '%s\n' "$PWD" >"$venv/.ready"
