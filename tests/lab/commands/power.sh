# shellcheck shell=bash
# lab power: off cuts a machine's power, all its processes and its network vanish at once; on boots it, with the cable
# plugged in, and starts its daemons. Disks (/home, Slurm's spool and state) survive; /run and /tmp do not.

command_power() {
    [ $# = 2 ] || usage_error "power takes a machine, and on or off"
    require_root
    settings_read
    machine_require_known "$1"
    root_enter "$SLURM" power "$@"
    state_lock 30 || fail "the lab was taken down meanwhile"
    case $2 in
        off) machine_cut "$1" ;;
        on)
            if machine_pid "$1" >/dev/null; then return 0; fi
            machine_cut "$1" # a keeper that is still about to end
            in_parallel machine_boot "$1" || fail "$1 did not boot"
            in_parallel machine_start_daemons "$1" || fail "$1 booted, but its daemons did not start" ;;
        *) usage_error "power is on or off, not '$2'" ;;
    esac
}
