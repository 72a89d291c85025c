# shellcheck shell=bash
# lab down: ends the lab and removes everything of it.

command_down() {
    local keep=0
    if [ "${1:-}" = --keep ]; then keep=1; shift; fi
    [ $# = 0 ] || usage_error "down has no option $1"
    [ -d "$STATE" ] || return 0
    require_root
    STATE=$(cd "$STATE" && pwd)
    state_require_own
    # Long enough for an `up` that is at work.
    state_lock 120 || return 0
    state_is_lab || state_is_empty || fail "$STATE is not a lab's"
    machines_end || fail "not everything ended; $STATE stays"
    rm -f "$STATE/ready"
    [ "$keep" = 1 ] || state_remove
}
