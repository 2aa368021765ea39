#!/usr/bin/env bash
# What the tests of isolation need beside scripts/setup.sh: bubblewrap, sudo, User-Mode Linux (a kernel that runs as
# a program, for cgroup v2 as a batch system delegates it), and apptainer. Debian 12 has no apptainer: it gets a small
# tree of Debian 13 with the one package from sid, entered through bubblewrap by a wrapper of its name.
# What cannot be had is said; its tests are then skipped with the reason.
set -euo pipefail
cd -P "$(dirname "$0")/.."
venv=${1:-.venv}
[[ $venv = /* ]] || venv=$PWD/$venv

say() { printf '%s\n' "$*" >&2; }

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need bwrap bubblewrap
need sudo sudo
need linux.uml user-mode-linux
need setpriv util-linux
need ip iproute2
need openssl openssl
command -v apptainer >/dev/null 2>&1 || [ -x "$venv/apptainer/bin/apptainer" ] || need mmdebstrap mmdebstrap

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing ${missing[*]} with apt-get"
        apt-get update -qq >/dev/null 2>&1 || true
        # One by one, since a machine may have all but one of them.
        for package in "${missing[@]}"; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
                >/dev/null 2>&1 || say "setup: apt-get could not install $package; the tests that need it are skipped and say so."
        done
    else
        say "setup: the tests of isolation need ${missing[*]}; without them they are skipped and say so (Debian: apt-get install ${missing[*]})."
    fi
fi

make_tree() { # folder: a Debian 13 tree with apptainer in it
    local mirror work keys options
    mirror=$(apt-get indextargets --format '$(SITE)' | head -n 1)
    work=$(mktemp -d)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [signed-by=$keys] $mirror sid main" >"$work/sources.list"
    options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    # Sid's index is past its date on some mirrors; it is signed all the same.
    apt-get "${options[@]}" -o Acquire::Check-Valid-Until=false update -qq &&
        (cd "$work" && apt-get "${options[@]}" download -qq apptainer/sid) &&
        mmdebstrap --quiet --variant=minbase \
            --include=ca-certificates,python3,squashfs-tools,squashfuse,fuse3,fuse2fs,fuse-overlayfs,uidmap,libseccomp2,libsqlite3-0 \
            trixie "$1" "$mirror" &&
        cp "$work"/apptainer_*.deb "$1/tmp/apptainer.deb" &&
        chroot "$1" dpkg --force-depends -i /tmp/apptainer.deb &&
        rm "$1/tmp/apptainer.deb"
    local done=$?
    rm -rf "$work"
    return $done
}

make_wrapper() { # file tree: apptainer's name on this machine
    cat >"$1" <<W
#!/bin/sh
# Runs apptainer in its own small tree; every directory of this machine that is no part of a system is as it is.
binds=
for each in /*; do
    case \$each in
    /bin | /boot | /dev | /etc | /lib* | /proc | /sbin | /sys | /usr | /var) ;;
    *) [ -d "\$each" ] && [ ! -L "\$each" ] && binds="\$binds --bind \$each \$each" ;;
    esac
done
exec bwrap --bind $2 / \$binds --bind /var/tmp /var/tmp --dev-bind /dev /dev --bind /proc /proc --bind /sys /sys \\
    --ro-bind /etc/passwd /etc/passwd --ro-bind /etc/group /etc/group \\
    --chdir "\$PWD" -- /usr/bin/apptainer "\$@"
W
    chmod 755 "$1"
}

if ! command -v apptainer >/dev/null 2>&1; then
    tree=$venv/apptainer/root
    if [ ! -x "$tree/usr/bin/apptainer" ]; then
        if [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null 2>&1; then
            say "setup: apptainer -> $venv/apptainer; this takes a minute"
            mkdir -p "$venv/apptainer"
            rm -rf "$tree.part"
            if make_tree "$tree.part" >"$venv/apptainer/setup.log" 2>&1; then
                mv "$tree.part" "$tree"
            else
                rm -rf "$tree.part"
                say "setup: apptainer could not be made ($venv/apptainer/setup.log); its tests are skipped and say so."
            fi
        else
            say "setup: the tests of apptainer need apptainer, or root and mmdebstrap to make it; they are skipped and say so."
        fi
    fi
    if [ -x "$tree/usr/bin/apptainer" ]; then
        mkdir -p "$venv/apptainer/bin"
        make_wrapper "$venv/apptainer/bin/apptainer" "$tree"
    fi
fi

printf '%s\n' "$PWD" >"$venv/.isolation-ready"
