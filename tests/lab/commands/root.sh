# shellcheck shell=bash
# lab root: runs a command in the root file system of another Slurm, as root, with the host's network.

command_root() {
    local directories=() slurm=${1:-}
    [ -n "$slurm" ] || usage_error "root needs a version of Slurm"
    shift
    while [ "${1:-}" = --share ]; do
        need_value "$@"
        [ -d "$2" ] || usage_error "--share: $2 is no directory"
        directories+=("$(cd "$2" && pwd)")
        shift 2
    done
    [ "${1:-}" = -- ] && [ $# -gt 1 ] || usage_error "root needs -- and a command"
    require_root
    require_namespaces
    root_exec "$slurm" "${directories[@]}" "$@"
    # The host's own.
    shift
    exec "$@"
}
