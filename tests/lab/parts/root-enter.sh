#!/bin/bash
# root-enter.sh MOUNT ROOT DIRECTORY... -- COMMAND...: runs COMMAND with ROOT as / and these directories of the host at
# their paths. It has a mount namespace of its own already; what is written into ROOT is gone with it.
set -euo pipefail
mount=$1 root=$2
shift 2

mkdir -p "$mount"
mount -t tmpfs -o mode=755 tmpfs "$mount"
mkdir "$mount"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$root,upperdir=$mount/upper,workdir=$mount/work" "$mount/root"
new=$mount/root
for directory in proc sys dev; do mount --rbind "/$directory" "$new/$directory"; done
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mkdir "$new/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
# How this host reaches others: what is installed there with pip comes that way.
for file in /etc/resolv.conf /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || { mkdir -p "$new${file%/*}"; rm -f "$new$file"; cat "$file" >"$new$file"; }
done
while [ "$1" != -- ]; do
    mkdir -p "$new$1"
    mount --rbind "$1" "$new$1"
    shift
done
shift

: >"$new/.lab-root"
cd "$new"
mkdir -p .old
pivot_root . .old
umount --lazy /.old
rmdir /.old
cd /
exec "$@"
