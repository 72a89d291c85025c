# shellcheck shell=bash
# Other versions of Slurm: root file systems of other releases of the distribution, each made once and kept.
#
# `up` and `power on` run inside one as a whole, so that all else is as on the host: its users, packages and Python are
# those of that release. Nothing that runs there writes into it: each run has a layer of its own above it.

# Where they are kept; 600 MB each.
ROOTS=${LAB_ROOTS:-/var/cache/ipjob-lab}
# All that a lab needs, and both libraries of MPI, whatever is asked of the host.
ROOT_PACKAGES=("${PACKAGES[@]}" mount procps python3-venv openmpi-bin mpich)
# What the archive sends slowly, or not at once, is asked for again.
ROOT_TRIES=3
ROOT_APT=('APT::Install-Recommends "false"' 'Acquire::Check-Valid-Until "false"' 'Acquire::Retries "5"' 'Acquire::http::Timeout "60"')

# root_versions: prints the versions of the list that are not the host's own, a line each.
root_versions() { sed 's/ .*//; /^#/d' "$LAB_DIR/slurm-versions" | grep -vxF "$(root_host_version)"; }

# root_suite VERSION: prints the release that has this version of Slurm, nothing for the host's own.
root_suite() {
    [ "$1" != "$(root_host_version)" ] || return 0
    awk -v version="$1" '$1 == version { print $2; known = 1 } END { exit !known }' "$LAB_DIR/slurm-versions" ||
        usage_error "--slurm knows $(root_versions | xargs) and the host's own, not '$1'"
}

# The major version that the host's own packages have, also while they are not installed.
root_host_version() {
    local version
    version=$(apt-cache show slurmd 2>/dev/null | sed -n '/^Version: /{s///p;q}')
    [ -n "$version" ] || version=$(slurmd -V 2>/dev/null | cut -d' ' -f2)
    cut -d. -f1,2 <<<"$version"
}

# The archive that the host's own packages come from: it serves all releases.
root_archive() {
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        sed -n '/security/d; s/^Debian main //p' | head -n 1
}

# root_make VERSION SUITE: prints the root file system's path, makes it first where it is missing.
root_make() {
    local root=$ROOTS/slurm-$1
    if [ ! -e "$root/.complete" ]; then
        mkdir -p "$ROOTS"
        exec 7>"$root.lock"
        flock 7
        [ -e "$root/.complete" ] || root_make_new "$1" "$2" "$root" 7>&-
        exec 7>&-
    fi
    echo "$root"
}

# root_make_new VERSION SUITE ROOT
root_make_new() {
    local log=$3.log archive why has try
    command -v mmdebstrap >/dev/null || missing "mmdebstrap (for Slurm $1)"
    archive=$(root_archive)
    [ -n "$archive" ] || missing "an archive of Debian in apt's sources (for Slurm $1)"
    for ((try = 1; ; try++)); do
        say "making $3 from $2 (a minute or two; log: $log)" >&2
        rm -rf "$3"
        if root_bootstrap "$2" "$3" "$archive" >"$log" 2>&1 </dev/null; then break; fi
        why=$(grep '^E: ' "$log" | tail -n 1) || why="the end of $log: $(tail -n 1 "$log")"
        ((try < ROOT_TRIES)) || missing "a root file system of $2 ($why)"
        say "once more after a pause: $why" >&2
        sleep 20
    done
    has=$(chroot "$3" slurmd -V | cut -d' ' -f2)
    # Nothing but a change of the list helps there, so it is told apart from what this host lacks.
    [[ $has = "$1".* ]] || gone "Slurm $1: $2 has $has now, which tests/lab/slurm-versions should name"
    : >"$3/.complete"
}

# root_bootstrap SUITE ROOT ARCHIVE
#
# What is fetched is checked by the distribution's keys. Services are never started there. Release files of unstable may be
# past their date.
root_bootstrap() {
    # shellcheck disable=SC2016
    mmdebstrap --variant=apt --components=main --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --include="$(IFS=,; echo "${ROOT_PACKAGES[*]}")" "${ROOT_APT[@]/#/--aptopt=}" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
        --essential-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
        "$@"
}

# root_exec VERSION DIRECTORY... -- COMMAND...: in the place of this process, with the root of that version as / and these
# directories of the host at their paths; returns where it is inside already, and where the version is the host's own.
root_exec() {
    local suite root
    [ ! -e /.lab-root ] || return 0
    suite=$(root_suite "$1")
    [ -n "$suite" ] || return 0
    root=$(root_make "$1" "$suite")
    exec unshare --mount --propagation private bash "$LAB_DIR/parts/root-enter.sh" "$ROOTS/mount" "$root" "${@:2}"
}

# root_enter VERSION COMMAND [ARG]...: runs this command of the lab again inside the root of that version.
root_enter() {
    root_exec "$1" "$LAB_DIR" "$STATE" "${SHARES[@]}" -- "$LAB_DIR/lab" --state "$STATE" "${@:2}"
}
