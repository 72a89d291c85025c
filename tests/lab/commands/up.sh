# shellcheck shell=bash
# lab up: starts a lab and returns when every node is idle.

command_up() {
    SLURM=$(root_host_version) ABSOLUTE=() CONSTRAIN= NODES=2 CPUS=4 MEM=2000 GPUS=0 USERS=(alice bob) SHARES=() EXTRA_LINES=() NODE_NAMES=() MACHINES=()
    up_read_options "$@"
    require_root
    require_namespaces
    mkdir -p "$STATE"
    STATE=$(cd "$STATE" && pwd)
    root_enter "$SLURM" up "${ABSOLUTE[@]}"

    state_create
    # From here on the state directory is ours, and what it records is ours to end.
    trap up_clean_up EXIT
    trap 'exit 1' INT TERM HUP
    packages_install
    require_kernel_features
    say "$(slurmd -V), packages ready"

    CGROUP=
    CGROUP_VERSION=$(cgroup_version)
    [ -z "$CGROUP_VERSION" ] || CGROUP=$(cgroup_name)
    MEMORY=
    if [ -n "$CONSTRAIN" ]; then
        [ -n "$CGROUP" ] || missing "no control groups are here, and no job can be constrained"
        MEMORY=$(cgroup_memory)
    fi
    machines_name
    settings_write
    network_write_hosts
    accounts_create
    ssh_create
    slurm_create

    switch_start
    in_parallel machine_boot "${MACHINES[@]}"
    up_check_shares
    say "machines and network ready"
    # slurmctld first: a slurmd that finds nobody to register with tries again a second later.
    in_parallel machine_start_daemons ctl
    in_parallel machine_start_daemons login laptop "${NODE_NAMES[@]}"
    say "daemons started"
    slurm_wait_idle
    : >"$STATE/ready"
    say "up: $NODES nodes idle, state in $STATE"
}

up_read_options() {
    local name
    while [ $# -gt 0 ]; do
        need_value "$@"
        case $1 in
            --state) STATE=$2 ;;
            --nodes) need_number "$1" "$2" 1 200 && NODES=$2 ;;
            --cpus) need_number "$1" "$2" 1 1024 && CPUS=$2 ;;
            --mem) need_number "$1" "$2" 1 99999999 && MEM=$2 ;;
            --gpus) need_number "$1" "$2" 0 64 && GPUS=$2 ;;
            --constrain)
                [ "$2" = memory ] || usage_error "--constrain knows memory, not '$2'"
                CONSTRAIN=$2 ;;
            --users) IFS=', ' read -ra USERS <<<"$2" ;;
            --share)
                [ -d "$2" ] || usage_error "--share: $2 is no directory"
                SHARES+=("$(cd "$2" && pwd)")
                set -- "$1" "${SHARES[-1]}" "${@:3}" ;;
            --slurm-conf)
                [[ $2 = *=* ]] || usage_error "--slurm-conf takes KEY=VALUE, not '$2'"
                EXTRA_LINES+=("$2") ;;
            --mpi-packages) packages_add_mpi "$2" ;;
            --slurm) SLURM=$2 ;;
            *) usage_error "up has no option $1" ;;
        esac
        # What the same command takes elsewhere; --state stands before it.
        [ "$1" = --state ] || ABSOLUTE+=("$1" "$2")
        shift 2
    done
    for name in "${USERS[@]}"; do
        [[ $name =~ ^[a-z][a-z0-9_-]{0,30}$ ]] || usage_error "--users: '$name' is no user name"
    done
    [ ${#USERS[@]} -gt 0 ] || usage_error "--users: at least one"
}

# When `up` ends before the lab is ready, it ends what it has started. The logs stay, for whoever asks why.
up_clean_up() {
    local code=$? helper
    [ ! -e "$STATE/ready" ] || return 0
    trap '' INT TERM HUP
    # Not by `wait`: here it may be inside another `wait` that the signal interrupted, and bash 5.2 then hangs for ever.
    for helper in "${HELPERS[@]}"; do
        while [ -n "$(process_start_time "$helper")" ]; do sleep 0.02; done
    done
    machines_end
    if [ "$code" = 75 ]; then state_remove; fi
}

# A directory below a place that only root may enter is there, but of no use to the people inside.
up_check_shares() {
    local directory path part parts user=${USERS[0]}
    for directory in "${SHARES[@]}"; do
        IFS=/ read -ra parts <<<"${directory#/}"
        path=
        for part in "${parts[@]}"; do
            path+=/$part
            machine_enter login setpriv --reuid "$user" --regid "$user" --init-groups test -x "$path" ||
                fail "--share $directory: $user cannot enter $path ($(stat -c '%A, of %U' "$path"))"
        done
    done
}
