# shellcheck shell=bash
# lab install: installs the packages and does nothing else, so that labs which start at the same time need not wait for apt.

command_install() {
    local slurm suite
    slurm=$(root_host_version)
    while [ $# -gt 0 ]; do
        need_value "$@"
        case $1 in
            --mpi-packages) packages_add_mpi "$2" ;;
            --slurm) slurm=$2 ;;
            *) usage_error "install has no option $1" ;;
        esac
        shift 2
    done
    require_root
    suite=$(root_suite "$slurm")
    if [ -n "$suite" ]; then
        root_make "$slurm" "$suite" >/dev/null
        return
    fi
    # Only for apt's log.
    STATE=$(mktemp -d)
    trap state_remove EXIT
    mkdir "$STATE/log"
    packages_install
}
