# shellcheck shell=bash
# The control group of each machine, in the (version 1) freezer hierarchy.
#
# Real sites track processes with proctrack/cgroup, and what a job's signals reach depends on it: there only the direct
# children of slurmstepd get them, and what a script leaves behind is killed with the job. With proctrack/linuxproc all
# descendants get the signals, and leftovers survive. So the lab gives each machine a part of the freezer hierarchy, and
# falls back to linuxproc where the host has none (hosts with cgroup version 2 only).

FREEZER=/sys/fs/cgroup/freezer

cgroup_available() { [ -e "$FREEZER/tasks" ]; }

# The common start of the groups' names. It is made from the path: also found again when the directory was deleted.
cgroup_name() {
    local sum
    sum=$(printf '%s' "$STATE" | sha256sum)
    printf 'ipjob-lab-%s' "${sum:0:12}"
}

# cgroup_create MACHINE
cgroup_create() {
    [ -n "$CGROUP" ] || return 0
    mkdir -p "$FREEZER/$CGROUP-$1"
    local strangers try
    for ((try = 0; try < 250; try++)); do
        strangers=$(xargs <"$FREEZER/$CGROUP-$1/cgroup.procs")
        [ -n "$strangers" ] || return 0
        sleep 0.02 # what a power cut has just killed
    done
    fail "$1 of an earlier lab still runs, though its records are gone (process $strangers): end it first"
}

# cgroup_join MACHINE: moves the calling process, which must be about to exec, into the machine's group.
cgroup_join() {
    [ -z "$CGROUP" ] || echo "$BASHPID" >"$FREEZER/$CGROUP-$1/cgroup.procs"
}

# Removes the groups of a lab that has ended. Slurm made further ones below them, and a group can be removed only when
# the last process in it has been reaped, which takes a moment.
cgroup_remove_all() {
    [ -n "${CGROUP:-}" ] || return 0
    local group try
    for group in "$FREEZER/$CGROUP"-*; do
        for ((try = 0; try < 250; try++)); do
            [ -d "$group" ] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
        done
        [ ! -d "$group" ] || fail "the control group $group is still in use"
    done
}
