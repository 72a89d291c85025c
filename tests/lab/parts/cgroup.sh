# shellcheck shell=bash
# The control group of each machine, in the (version 1) freezer hierarchy, and with `up --constrain memory` in that of memory.
#
# Real sites track processes with proctrack/cgroup, and what a job's signals reach depends on it: there only the direct
# children of slurmstepd get them, and what a script leaves behind is killed with the job. With proctrack/linuxproc all
# descendants get the signals, and leftovers survive. So the lab gives each machine a part of the freezer hierarchy, and
# falls back to linuxproc where the host has none (hosts with cgroup version 2 only).

FREEZER=/sys/fs/cgroup/freezer

cgroup_available() { [ -e "$FREEZER/tasks" ]; }

# The group of the memory hierarchy below which the machines' are made: our own, whose limits hold for them as well.
cgroup_memory() {
    local own
    own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    { [ -n "$own" ] && [ -w "/sys/fs/cgroup/memory$own" ]; } ||
        missing "no control group of memory (cgroup version 1) can be made here"
    echo "/sys/fs/cgroup/memory${own%/}"
}

# cgroup_directories MACHINE: the machine's groups, one a line.
cgroup_directories() {
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
    while read -r directory; do echo "$pid" >"$directory/cgroup.procs"; done < <(cgroup_directories "$1")
}

# Removes the groups of a lab that has ended. Slurm made further ones below them, and a group can be removed only when
# the last process in it has been reaped, which takes a moment.
cgroup_remove_all() {
    [ -n "${CGROUP:-}" ] || return 0
    local group try
    for group in "$FREEZER/$CGROUP"-* ${MEMORY:+"$MEMORY/$CGROUP"-*}; do
        for ((try = 0; try < 250; try++)); do
            [ -d "$group" ] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
        done
        [ ! -d "$group" ] || fail "the control group $group is still in use"
    done
}
