# shellcheck shell=bash
# What this host must offer. Whatever is absent ends the command with exit code 75 and its name.

require_root() {
    [ "$(id -u)" = 0 ] || missing "root (namespaces, packages and daemons need it)"
}

# Containers without CAP_SYS_ADMIN are root as well, but may not do this.
require_namespaces() {
    unshare --cgroup --net --uts --mount --ipc --pid --fork --propagation private \
        mount -t tmpfs tmpfs /tmp 2>/dev/null ||
        missing "the right to make namespaces and to mount in them (CAP_SYS_ADMIN)"
}

# Tried in a network and mount namespace of its own that ends with the trial. Needs iproute2: after the packages.
require_kernel_features() {
    unshare --net ip link add try0 type bridge 2>/dev/null || missing "network bridges in the kernel"
    unshare --net ip link add try0 type veth peer name try1 2>/dev/null || missing "veth links in the kernel"
    unshare --mount --propagation private mount -t overlay overlay -o lowerdir=/etc:/usr /mnt 2>/dev/null ||
        missing "the overlay file system in the kernel"
}
