# shellcheck shell=bash
# Other versions of Slurm: root file systems of other releases of the distribution, each made once and kept.
#
# `up` and `power on` run inside one as a whole, so that all else is as on the host: its users, packages and Python are
# those of that release. Nothing that runs there writes into it: each run has a layer of its own above it.

# Where they are kept; 600 MB each.
ROOTS=${LAB_ROOTS:-/var/cache/ipjob-lab}
ROOT_PACKAGES=(mount procps python3-venv openmpi-bin mpich)

# root_suite VERSION: prints the release that has this version of Slurm, nothing for the host's own.
root_suite() {
    case $1 in
        24.11) echo trixie ;;
        26.05) echo unstable ;;
        *) [ "$1" = "$(root_host_version)" ] || usage_error "--slurm knows 24.11, 26.05 and the host's own, not '$1'" ;;
    esac
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
    local root=$ROOTS/slurm-$1 log=$ROOTS/slurm-$1.log archive has
    if [ -e "$root/.complete" ]; then echo "$root"; return; fi
    mkdir -p "$ROOTS"
    exec 7>"$ROOTS/slurm-$1.lock"
    flock 7
    if [ ! -e "$root/.complete" ]; then
        command -v mmdebstrap >/dev/null || missing "mmdebstrap (for Slurm $1)"
        archive=$(root_archive)
        [ -n "$archive" ] || missing "an archive of Debian in apt's sources (for Slurm $1)"
        say "making $root from $2 (a minute or two; log: $log)" >&2
        rm -rf "$root"
        # Services are never started there. Release files of unstable may be past their date.
        # shellcheck disable=SC2016
        mmdebstrap --variant=apt --components=main --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
            --include="$(IFS=,; echo "${PACKAGES[*]},${ROOT_PACKAGES[*]}")" \
            --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
            --essential-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
            "$2" "$root" "$archive" >"$log" 2>&1 7>&- </dev/null ||
            missing "a root file system of $2 ($(grep '^E: ' "$log" | tail -n 1))"
        has=$(chroot "$root" slurmd -V | cut -d' ' -f2)
        [[ $has = "$1".* ]] || missing "Slurm $1: $2 has $has now"
        : >"$root/.complete"
    fi
    exec 7>&-
    echo "$root"
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
