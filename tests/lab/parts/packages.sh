# shellcheck shell=bash
# The packages of the distribution that the lab runs. They stay installed; their services are never started.

PACKAGES=(slurmctld slurmd slurm-client munge openssh-server openssh-client iproute2)

# packages_add_mpi LIST: openmpi and mpich, separated by commas. The roots of other versions have both (root.sh).
packages_add_mpi() {
    local library
    for library in ${1//,/ }; do
        case $library in
            openmpi | mpich) [ ! -e /.lab-root ] || continue ;;&
            openmpi) PACKAGES+=(openmpi-bin libopenmpi3 libpmix2) ;;
            mpich) PACKAGES+=(mpich libmpich12) ;;
            *) usage_error "--mpi-packages knows openmpi and mpich, not '$library'" ;;
        esac
    done
}

packages_absent() {
    local package
    for package in "${PACKAGES[@]}"; do
        [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
    done
}

packages_install() {
    local absent log=$STATE/log/apt.log
    command -v apt-get >/dev/null || missing "apt-get (Debian or Ubuntu)"
    # One lab at a time: two must not take the policy file below away from each other.
    exec 8>/run/lock/ipjob-lab-packages
    flock 8
    read -ra absent <<<"$(packages_absent)"
    if [ ${#absent[@]} -gt 0 ]; then
        say "installing ${absent[*]}"
        services_forbid
        local failed=0
        # An update that fails does not matter when the lists are there already.
        apt_get update >>"$log" 2>&1 || true
        apt_get install "${absent[@]}" >>"$log" 2>&1 || failed=1
        services_allow
        [ $failed = 0 ] || missing "packages ${absent[*]} ($(grep '^E:' "$log" | tail -n 1))"
    fi
    exec 8>&-
}

# The locks (8, 9) stay here: an apt-get that outlives a killed `up` has its own lock and must not hold ours.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null 8>&- 9<&-
}

# Debian starts a service as soon as its package is installed, unless this script says no (exit code 101).
# The host's own is left alone. Ours is known by its text, also when it was left behind by an `up` that was killed.
SERVICE_POLICY=/usr/sbin/policy-rc.d
SERVICE_POLICY_TEXT='#!/bin/sh
# put here by the ipjob test lab while it installs packages
exit 101'

services_forbid() {
    [ ! -e "$SERVICE_POLICY" ] || return 0
    printf '%s\n' "$SERVICE_POLICY_TEXT" >"$SERVICE_POLICY"
    chmod 755 "$SERVICE_POLICY"
}

services_allow() {
    if [ "$(cat "$SERVICE_POLICY" 2>/dev/null)" = "$SERVICE_POLICY_TEXT" ]; then rm -f "$SERVICE_POLICY"; fi
}
