# shellcheck shell=bash
# lab in: runs a command on a machine. Standard input, output and the exit code are the command's own.

command_in() {
    local user=root home directory='' extra=() environment=() pid
    while [ $# -gt 0 ]; do
        case $1 in
            -u | --user) need_value "$@"; user=$2; shift 2 ;;
            -w | --directory) need_value "$@"; directory=$2; shift 2 ;;
            -e | --env)
                need_value "$@"
                [[ $2 = ?*=* ]] || usage_error "$1 takes KEY=VALUE, not '$2'"
                extra+=("$2")
                shift 2 ;;
            -*) usage_error "in has no option $1" ;;
            *) break ;;
        esac
    done
    [ $# -gt 0 ] || usage_error "in needs a machine"
    settings_read
    machine_require_known "$1"
    pid=$(machine_pid "$1") || in_refuse "$1 is off"
    [ "$user" = root ] || grep -q "^$user:" "$STATE/etc/passwd" || in_refuse "nobody here is called '$user'"
    shift
    [ $# -gt 0 ] || set -- bash -l

    home=/root
    [ "$user" = root ] || home=/home/$user
    mapfile -t -d '' environment < <(clean_environment "$user" "$home")
    # When nsenter is killed (a test's time ran out), the command inside gets TERM: it is not in nsenter's reach otherwise.
    # The inner bash is there because the directory is one of the machine's.
    # shellcheck disable=SC2016
    exec env -i "${environment[@]}" "${extra[@]}" \
        nsenter --target "$pid" --net --uts --mount --ipc --pid --cgroup -- \
        setpriv --pdeathsig TERM --reuid "$user" --regid "$user" --init-groups \
        bash -c 'cd "$1" || exit 125; shift; exec "$@"' "lab in" "${directory:-$home}" "$@"
}

# The command's exit codes pass through; this one tells that there was no command.
in_refuse() {
    printf 'lab: %s\n' "$*" >&2
    exit 125
}
