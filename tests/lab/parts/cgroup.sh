# shellcheck shell=bash
# The control group of each machine: in the freezer hierarchy of version 1, and with `up --constrain memory` in that of memory, or,
# where the host has none of these, in the one hierarchy of version 2.
#
# Real sites track processes with proctrack/cgroup, and what a job's signals reach depends on it: there only the direct
# children of slurmstepd get them, and what a script leaves behind is killed with the job. With proctrack/linuxproc all
# descendants get the signals, and leftovers survive. So the lab gives each machine a part of a hierarchy, and
# falls back to linuxproc where the host has none.
#
# In version 2 a group whose children have controllers may have no process of its own, and slurmd refuses one that has processes whose
# ids it cannot see. So below the machine's group, which is what the machine sees as the root, there is one for the machine's own
# processes (machine), one for those that the lab has there from outside (lab), and one for slurmd, beside those that Slurm makes.

FREEZER=/sys/fs/cgroup/freezer
CGROUP_VERSION=1

# Prints the version of control groups that the machines get: 1 where the host has that freezer, else 2 (Slurm refuses the latter where
# a hierarchy of version 1 is mounted as well); nothing where it has neither.
cgroup_version() {
    if [ -e "$FREEZER/tasks" ]; then
        echo 1
    elif [ -n "$(cgroup_unified)" ]; then
        echo 2
    fi
}

# Where version 2 is mounted.
cgroup_unified() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

# The group of the memory hierarchy below which the machines' are made: our own, whose limits hold for them as well. In version 2 it is
# the root of all, as ours has processes.
cgroup_memory() {
    local own unified
    if [ "$CGROUP_VERSION" = 2 ]; then
        unified=$(cgroup_unified)
        grep -qw memory "$unified/cgroup.subtree_control" || { echo +memory >"$unified/cgroup.subtree_control"; } 2>/dev/null ||
            missing "the memory controller of control groups (version 2) can not be had here"
        echo "$unified"
        return
    fi
    own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    { [ -n "$own" ] && [ -w "/sys/fs/cgroup/memory$own" ]; } ||
        missing "no control group of memory (cgroup version 1) can be made here"
    echo "/sys/fs/cgroup/memory${own%/}"
}

# cgroup_directories MACHINE: the machine's groups, one a line.
cgroup_directories() {
    if [ "$CGROUP_VERSION" = 2 ]; then
        echo "$(cgroup_unified)/$CGROUP-$1"
        return
    fi
    echo "$FREEZER/$CGROUP-$1"
    [ -z "$MEMORY" ] || echo "$MEMORY/$CGROUP-$1"
}

# The common start of the groups' names. It is made from the path: also found again when the directory was deleted.
cgroup_name() {
    local sum
    sum=$(printf '%s' "$STATE" | sha256sum)
    printf 'ipjob-lab-%s' "${sum:0:12}"
}

# cgroup_create MACHINE
cgroup_create() {
    [ -n "$CGROUP" ] || return 0
    local directories strangers try
    mapfile -t directories < <(cgroup_directories "$1")
    # One of version 2 that had children would take no process.
    [ "$CGROUP_VERSION" = 1 ] || cgroup_remove "${directories[0]}"
    mkdir -p "${directories[@]}"
    for ((try = 0; try < 250; try++)); do
        strangers=$(cat "${directories[@]/%//cgroup.procs}" | xargs)
        [ -n "$strangers" ] || return 0
        sleep 0.02 # what a power cut has just killed
    done
    fail "$1 of an earlier lab still runs, though its records are gone (process $strangers): end it first"
}

# cgroup_join MACHINE: moves the calling process, which must be about to exec, into the machine's group.
cgroup_join() {
    [ -n "$CGROUP" ] || return 0
    local directory
    local pid=$BASHPID
    while read -r directory; do
        [ ! -d "$directory/lab" ] || directory+=/lab
        echo "$pid" >"$directory/cgroup.procs"
    done < <(cgroup_directories "$1")
}

# cgroup_settle MACHINE KEEPER: its keeper leaves the group that the machine, which has booted, sees as the root.
cgroup_settle() {
    [ -n "$CGROUP" ] && [ "$CGROUP_VERSION" = 2 ] || return 0
    local directory
    directory=$(cgroup_directories "$1")
    mkdir "$directory/lab"
    echo "$2" >"$directory/lab/cgroup.procs"
    [ -z "$MEMORY" ] || echo +memory >"$directory/cgroup.subtree_control"
}

# cgroup_remove GROUP: with all that Slurm made below it. A group can be removed only when the last process in it has been
# reaped, which takes a moment.
cgroup_remove() {
    local try
    for ((try = 0; try < 250; try++)); do
        [ -d "$1" ] || return 0
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
    done
    [ ! -d "$1" ] || fail "the control group $1 is still in use"
}

# Removes the groups of a lab that has ended.
cgroup_remove_all() {
    [ -n "${CGROUP:-}" ] || return 0
    local group
    local groups=("$FREEZER/$CGROUP"-* ${MEMORY:+"$MEMORY/$CGROUP"-*})
    [ "$CGROUP_VERSION" = 1 ] || groups=("$(cgroup_unified)/$CGROUP"-*)
    for group in "${groups[@]}"; do cgroup_remove "$group"; done
}
