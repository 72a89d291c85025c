# shellcheck shell=bash
# A process that the lab started, and the file that remembers it: pid, start time and the boot it belongs to.
# A pid alone is not enough: after the process is gone the number is given to somebody else, who must not be killed.

# Prints the start time (clock ticks since boot) of a living process, nothing for a zombie or none.
process_start_time() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    # The second field is the program's name in parentheses and may hold spaces: count from behind it.
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" = Z ] || printf '%s' "${fields[19]}"
}

# process_record PID FILE
process_record() {
    local boot
    boot=$(</proc/sys/kernel/random/boot_id)
    printf '%s %s %s\n' "$1" "$(process_start_time "$1")" "$boot" >"$2"
}

# process_pid FILE: prints the pid if that very process is alive, else fails.
process_pid() {
    local pid start boot
    { read -r pid start boot <"$1"; } 2>/dev/null || return 1
    [ "$boot" = "$(</proc/sys/kernel/random/boot_id)" ] || return 1
    [ -n "$start" ] || return 1
    [ "$(process_start_time "$pid")" = "$start" ] || return 1
    printf '%s' "$pid"
}

# process_kill FILE: a no-op when the process is gone already.
process_kill() {
    local pid
    pid=$(process_pid "$1") || return 0
    kill -KILL "$pid" 2>/dev/null || true
}

# process_wait_gone FILE: until it is gone, for at most 30 s. The last process of a machine can take 2 s: when the
# nsenter of `lab in` was killed, its child's zombie waits for the host's PID 1 to be reaped.
process_wait_gone() {
    local try
    for ((try = 0; try < 1500; try++)); do
        process_pid "$1" >/dev/null || return 0
        sleep 0.02
    done
    return 1
}
