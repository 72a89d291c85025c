#!/bin/bash
# PID 1 of one machine: makes the machine's own view of the file system, then reaps orphans until it is killed.
# usage: init.sh LAB_DIR STATE MACHINE
#
# What a machine has of its own: /run, /etc (what differs), /home (the cluster's or the laptop's), /tmp and /var/tmp
# (local to the node, as on a real cluster), /dev/shm, /dev/pts, /proc, its part of /sys/fs/cgroup. All else is the host's.
set -euo pipefail
LAB_DIR=$1
STATE=$2
MACHINE=$3
# shellcheck source=process.sh
. "$LAB_DIR/parts/process.sh"
# shellcheck source=/dev/null
. "$STATE/settings"

# /proc is still the host's: the number there is not 1, but the one the host knows this process by.
read -r pid _ </proc/self/stat
process_record "$pid" "$STATE/machines/$MACHINE.init"

hostname "$MACHINE"
mount -t proc proc /proc

# The mounts below may hide the state directory and the shared ones. So they are first gathered below what will be
# /run, and only /run/lab is referred to from then on; that also keeps odd characters out of mount options.
run=$STATE/run/$MACHINE
gather() { # gather DIRECTORY NAME
    mkdir -p "$run/lab/$2"
    mount --bind "$1" "$run/lab/$2"
}
gather "$STATE/log" log
gather "$STATE/disk/$MACHINE" disk
gather "$STATE/etc" etc
gather "$STATE/etc-laptop" etc-laptop
if [ "$MACHINE" = laptop ]; then gather "$STATE/home-laptop" home; else gather "$STATE/home" home; fi
for number in "${!SHARES[@]}"; do gather "${SHARES[number]}" "share/$number"; done
mount --rbind "$run" /run
cd /run/lab

mkdir -p /run/lock /run/slurmd
install -d -m 1777 /run/tmp
mount --bind disk /run/slurmd # slurmd's spool survives a power cut
for ((number = 0; number < GPUS; number++)); do
    mknod -m 666 "/run/gpu$number" c 1 3 # Slurm takes nothing but devices for a GPU's file; this is another /dev/null
done

# An overlay of the whole of /etc, and not a bind mount over each file: when the host replaces a file by renaming a new
# one over it (a package adds a user), the kernel drops mounts on the old one in all namespaces, and alice would be gone.
layers=/run/lab/etc:/etc
[ "$MACHINE" != laptop ] || layers=/run/lab/etc-laptop:$layers
mount -t overlay overlay -o "lowerdir=$layers" /etc
# slurm.conf may be edited while the lab is up, which files of an overlay's lower layer may not.
mount --bind etc/slurm /etc/slurm

mount --bind home /home
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
# With tty's group, as glibc asks for it: without that no sshd but root's can make a terminal, and a host in a container may have it so.
mount -t devpts -o "mode=620,ptmxmode=666,gid=$(getent group tty | cut -d: -f3)" devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp

if [ -n "$CGROUP" ]; then
    # In this cgroup namespace the mount shows the machine's own group as the root of the hierarchy.
    if [ "$CGROUP_VERSION" = 2 ]; then
        # Slurm looks at the first mount of that place, which would be the host's.
        ! mountpoint -q /sys/fs/cgroup || umount --lazy /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir /sys/fs/cgroup/{machine,slurmd}
        echo 1 >/sys/fs/cgroup/machine/cgroup.procs
    else
        mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
        mkdir /sys/fs/cgroup/freezer
        mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer
        if [ -n "$MEMORY" ]; then
            mkdir /sys/fs/cgroup/memory
            mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory
        fi
    fi
fi

# Debian's mpi_pmix plugin of Slurm opens libpmix.so by a link that only libpmix-dev ships. Without it `--mpi=pmix` is
# listed and fails ("can not load PMIx library"). Here each machine gets the link, before slurmd is started.
for pmix in /usr/lib/*/pmix2/lib; do
    if [ -e "$pmix/libpmix.so.2" ] && [ ! -e "$pmix/libpmix.so" ]; then
        mkdir pmix
        ln -s libpmix.so.2 pmix/libpmix.so
        mount -t overlay overlay -o "lowerdir=/run/lab/pmix:$pmix" "$pmix"
    fi
done

# The shared directories return to where they were, if one of the mounts above hides them.
for number in "${!SHARES[@]}"; do
    if ! [ "share/$number" -ef "${SHARES[number]}" ]; then
        mkdir -p "${SHARES[number]}"
        mount --bind "share/$number" "${SHARES[number]}"
    fi
done

cd /
: >/run/lab/ready
# bash reaps every orphan while it waits.
while :; do
    sleep infinity &
    wait $! || true
done
