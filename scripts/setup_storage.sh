#!/usr/bin/env bash
# What the tests of data need beside scripts/setup.sh: real storage servers and a real replica catalogue.
# Servers are Debian's packages, the S3 server comes from npm, the catalogue gets a virtual environment of its own.
# What cannot be had is said; its tests are then skipped with the reason.
set -euo pipefail
cd -P "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }

missing=()
need() { # program packages
    command -v "$1" >/dev/null 2>&1 || missing+=("${@:2}")
}
need_file() { # name package folders
    [ -n "$(find "${@:3}" -name "$1" -print -quit 2>/dev/null)" ] || missing+=("$2")
}
need xrootd xrootd-server xrootd-server-plugins
need xrdcp xrootd-client
need_file 'libXrdAccSciTokens*' xrootd-scitokens-plugins /usr/lib /usr/lib64
need_file initdb postgresql /usr/lib/postgresql /usr/pgsql /usr/bin
need ip iproute2
need curl curl
need openssl openssl
need gfal-copy gfal2-util-scripts gfal2-plugin-file gfal2-plugin-http gfal2-plugin-xrootd
need node nodejs
need npm npm

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing ${missing[*]} with apt-get"
        apt-get update -qq >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
            >/dev/null 2>&1 || say "setup: apt-get could not install all of them; tests that need the others are skipped and say so."
    else
        say "setup: the tests of real storage need ${missing[*]}; without them they are skipped and say so (Debian: apt-get install ${missing[*]})."
    fi
fi

# An S3 server that checks signatures.
if command -v npm >/dev/null 2>&1; then
    say "setup: S3 server -> $venv/node"
    mkdir -p "$venv/node"
    cp tests/node/package.json tests/node/package-lock.json "$venv/node/"
    npm ci --silent --ignore-scripts --no-audit --no-fund --prefix "$venv/node" >/dev/null 2>&1 ||
        say "setup: npm could not install the S3 server; its tests are skipped and say so."
fi

# A real Rucio server. Its dependencies are its own, so it does not share the pilot's environment.
say "setup: Rucio server -> $venv/rucio; this takes a minute"
[ -x "$venv/rucio/bin/python" ] || "$venv/bin/python" -m venv "$venv/rucio"
"$venv/rucio/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/rucio-requirements.txt ||
    say "setup: pip could not install the Rucio server; its tests are skipped and say so."

printf '%s\n' "$PWD" >"$venv/.storage-ready"
