# shellcheck shell=bash
# The machines. Each is a set of namespaces (net, uts, mount, ipc, pid, cgroup) with two recorded processes:
#
#   keeper   the `unshare` on the host that made the namespaces and waits for them to end
#   init     PID 1 inside (init.sh). When it is killed, the kernel kills every process of the machine with it, also
#            those that made sessions of their own: a power cut, and the one thing that `down` has to do.
#
# The keeper is recorded before it makes anything, and the kernel kills init when the keeper dies. So there is no moment
# at which a kill of `up` leaves something behind that the records do not reach.

machines_name() {
    local number
    NODE_NAMES=()
    for ((number = 1; number <= NODES; number++)); do NODE_NAMES+=("node$number"); done
    MACHINES=(ctl login laptop "${NODE_NAMES[@]}")
}

# machine_require_known MACHINE
machine_require_known() {
    local machine
    machines_name
    for machine in "${MACHINES[@]}"; do [ "$machine" != "$1" ] || return 0; done
    usage_error "no machine is called '$1' (there are ${MACHINES[*]})"
}

# machine_pid MACHINE: prints the host's pid of its init, fails if the machine is off.
machine_pid() { process_pid "$STATE/machines/$1.init"; }

# machine_boot MACHINE: namespaces, mounts and network; no daemon yet.
machine_boot() {
    local machine=$1 run=$STATE/run/$1 keeper
    rm -f "$STATE/machines/$machine".*
    rm -rf "$run"
    mkdir -p "$run/lab" "$STATE/disk/$machine"
    install -d -m 755 -o munge -g munge "$run/munge"
    install -m 400 -o munge -g munge "$STATE/keys/munge.key" "$run/munge/munge.key"
    case $machine in login | node*) ssh_prepare_host "$machine" ;; esac
    [ "$machine" != ctl ] || chown slurm "$STATE/disk/ctl"
    cgroup_create "$machine"
    (
        process_record "$BASHPID" "$STATE/machines/$machine.keeper"
        cgroup_join "$machine"
        exec setsid unshare --cgroup --net --uts --mount --ipc --pid --propagation private --kill-child=KILL \
            bash "$LAB_DIR/parts/init.sh" "$LAB_DIR" "$STATE" "$machine" \
            </dev/null >"$STATE/log/$machine.init.log" 2>&1 9<&-
    ) &
    keeper=$!
    while [ ! -e "$run/lab/ready" ]; do
        kill -0 "$keeper" 2>/dev/null || fail "$machine did not boot: $(cat "$STATE/log/$machine.init.log")"
        sleep 0.02
    done
    cgroup_settle "$machine" "$keeper"
    network_connect "$machine" "$(machine_pid "$machine")"
}

# A clean environment, as after a login; nothing of the host's leaks in.
clean_environment() { # clean_environment USER HOME
    printf '%s\0' PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin LANG=C.UTF-8 SHELL=/bin/bash \
        USER="$1" LOGNAME="$1" HOME="$2" TERM="${TERM:-dumb}"
}

# machine_enter MACHINE CMD...: runs a command there as root, in /
machine_enter() {
    local pid environment
    pid=$(machine_pid "$1") || fail "$1 is off"
    mapfile -t -d '' environment < <(clean_environment root /root)
    env -i "${environment[@]}" nsenter --target "$pid" --net --uts --mount --ipc --pid --cgroup -- \
        "${@:2}" </dev/null 9<&-
}

# machine_start_daemons MACHINE
machine_start_daemons() {
    local machine=$1
    # Slurm's daemons make the jobs' control groups below the one they are in themselves. (This shell is a helper that
    # ends with this function.)
    cgroup_join "$machine"
    {
        [ "$machine" = laptop ] || machine_enter "$machine" setpriv --reuid munge --regid munge --init-groups \
            munged --key-file=/run/munge/munge.key --num-threads=2 --seed-file=/run/munge/seed \
            --log-file=/run/munge/munged.log --pid-file=/run/munge/munged.pid
        case $machine in
            ctl) machine_enter ctl slurmctld ;;
            node*)
                # In version 2 of control groups it has one of its own.
                machine_enter "$machine" bash -c \
                    'group=/sys/fs/cgroup/slurmd; [ ! -d $group ] || echo $$ >$group/cgroup.procs; exec slurmd' ;;
        esac
        case $machine in
            login | node*)
                machine_enter "$machine" /usr/sbin/sshd -f /run/ssh/sshd_config -E "/run/lab/log/sshd-$machine.log" ;;
        esac
    } >"$STATE/log/$machine.daemons.log" 2>&1 || fail "daemons of $machine: $(cat "$STATE/log/$machine.daemons.log")"
}

# in_parallel FUNCTION MACHINE...: one helper process for each machine.
#
# A helper that is told to end goes on: it is through in a moment, and `up`, when told to end, waits for the helpers
# before it ends what they have recorded.
HELPERS=()
in_parallel() {
    local function=$1 machine helper failed=0
    shift
    HELPERS=()
    for machine in "$@"; do
        (
            trap : INT TERM HUP
            "$function" "$machine"
        ) &
        HELPERS+=($!)
    done
    for helper in "${HELPERS[@]}"; do wait "$helper" || failed=1; done
    return $failed
}

# machine_cut MACHINE: the power cut
machine_cut() {
    process_kill "$STATE/machines/$1.init"
    process_wait_gone "$STATE/machines/$1.init" || fail "init of $1 cannot be killed"
    process_kill "$STATE/machines/$1.keeper"
    process_wait_gone "$STATE/machines/$1.keeper" || fail "the keeper of $1 cannot be killed"
    rm -f "$STATE/machines/$1".*
}

machines_any_on() {
    local record
    for record in "$STATE"/machines/*.init; do
        if process_pid "$record" >/dev/null; then return 0; fi
    done
    return 1
}

# Ends whatever the records of this state directory tell, and removes the control groups.
machines_end() {
    local record
    for record in "$STATE"/machines/*.init "$STATE"/machines/*.keeper; do process_kill "$record"; done
    for record in "$STATE"/machines/*; do
        process_wait_gone "$record" || { echo "lab: still alive: $record" >&2; return 1; }
        rm -f "$record"
    done
    if [ -e "$STATE/settings" ]; then
        # shellcheck source=/dev/null
        . "$STATE/settings"
        cgroup_remove_all
    fi
}
