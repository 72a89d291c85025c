# shellcheck shell=bash
# lab cable: pulls or plugs the cable of a machine at the switch; the machine itself sees "no carrier" and runs on.

command_cable() {
    local state
    [ $# = 2 ] || usage_error "cable takes a machine, and pull or plug"
    require_root
    settings_read
    machine_require_known "$1"
    case $2 in
        pull) state=down ;;
        plug) state=up ;;
        *) usage_error "a cable is pulled or plugged, not '$2'" ;;
    esac
    machine_pid "$1" >/dev/null || fail "$1 is off"
    switch_ip <<<"link set $1-eth0 $state"
}
