# shellcheck shell=bash
# The state directory: everything of one lab lies below it, so that labs never meet and an end leaves nothing.
#
#   lab-state        marks the directory as a lab's, so that no other directory is ever emptied
#   settings         what `up` was told; bash variables
#   ready            exists once `up` has succeeded
#   machines/        M.keeper, M.init: recorded processes, see process.sh
#   etc/             what the machines have on top of the host's /etc; etc-laptop/ for the laptop
#   home/            /home of the cluster; home-laptop/ that of the laptop
#   run/M            /run of machine M, new at each boot
#   disk/M           what machine M keeps over a power cut: the spool of slurmd, the state of slurmctld
#   log/             all logs
#   keys/            munge's key and the hosts' ssh keys
#
# Paths with spaces work: nothing inside the machines refers to the state directory by its path.

# state_lock SECONDS_TO_WAIT: opens and locks the state directory; fails if it was removed meanwhile.
#
# The lock is descriptor 9 and is passed on to the background helpers of `up`, but not to what lives longer. So after
# `up` was killed, the next command gets the lock when the last helper is through, and finds complete records.
state_lock() {
    local deadline=$((SECONDS + $1)) left
    while :; do
        left=$((deadline - SECONDS))
        exec 9<"$STATE" || fail "cannot open $STATE"
        flock --timeout "$((left > 0 ? left : 1))" 9 ||
            fail "another command is at work on $STATE"
        # The one before us may have been `down`, and this the lock of a directory that is gone.
        [ "$STATE" -ef /proc/self/fd/9 ] && return 0
        [ -d "$STATE" ] || return 1
    done
}

state_is_lab() { [ -e "$STATE/lab-state" ]; }
state_is_empty() { [ -z "$(ls -A "$STATE")" ]; }

# Settings are read as shell code by root: only from a directory that nobody else can have written.
state_require_own() {
    [ "$(stat -c %u "$STATE")" = 0 ] || fail "$STATE does not belong to root"
}

# Makes the directory ready for a new lab and clears what a killed `up` or a reboot left there.
state_create() {
    state_require_own
    state_lock 10 || fail "$STATE was removed meanwhile"
    if state_is_lab; then
        if [ -e "$STATE/ready" ] && machines_any_on; then
            fail "a lab is already up in $STATE"
        fi
        machines_end || fail "what an earlier lab left in $STATE cannot be ended"
        find "$STATE" -mindepth 1 -maxdepth 1 ! -name lab-state -exec rm -rf {} +
    elif ! state_is_empty; then
        fail "$STATE is neither empty nor a lab's"
    fi
    echo "state of a test lab: made by 'lab up', removed by 'lab down'" >"$STATE/lab-state"
    chmod 755 "$STATE"
    mkdir -p "$STATE"/{machines,etc,etc-laptop,home,home-laptop,run,disk,log,keys}
    chmod 700 "$STATE/keys"
}

state_remove() {
    # Inside a root it is a mount point, which cannot be removed.
    find "${STATE:?}" -mindepth 1 -delete
    rmdir "$STATE" 2>/dev/null || [ -e /.lab-root ]
}

settings_write() {
    {
        printf 'SLURM=%q\n' "$SLURM"
        printf 'NODES=%q\nGPUS=%q\n' "$NODES" "$GPUS"
        printf 'CGROUP=%q\nCGROUP_VERSION=%q\nMEMORY=%q\n' "$CGROUP" "$CGROUP_VERSION" "$MEMORY"
        printf 'USERS=(%s)\n' "${USERS[*]}"
        printf 'SHARES=()\n'
        # printf would print one line even for no share at all.
        [ ${#SHARES[@]} = 0 ] || printf 'SHARES+=(%q)\n' "${SHARES[@]}"
    } >"$STATE/settings"
}

# For the commands that need a lab: STATE as an absolute path, and its settings.
settings_read() {
    [ -e "$STATE/settings" ] || fail "no lab in $STATE ('lab up' starts one)"
    STATE=$(cd "$STATE" && pwd)
    state_require_own
    # shellcheck source=/dev/null
    . "$STATE/settings"
}
