# shellcheck shell=bash
# lab wait-job: waits until squeue shows a state of a job, or "ended" for any of the final ones.
# (`sbatch --wait` looks after 2 s and then every 10 s: a job of 3 s takes 10.)

command_wait_job() {
    [ $# = 2 ] || [ $# = 3 ] || usage_error "wait-job takes a job, a state, and the seconds to wait"
    [ $# = 2 ] || need_number SECONDS "$3" 0 99999
    require_root
    settings_read
    local job=$1 wanted=${2^^} deadline=$((SECONDS + 10#${3:-60})) state
    while :; do
        # Ended jobs are shown as well: slurm.conf has them remembered for 10 minutes.
        state=$(machine_enter ctl squeue --noheader --states=all --jobs "$job" --format %T 2>&1 | sort -u) ||
            fail "job $job: ${state:-squeue failed}"
        [ "$state" != "$wanted" ] || return 0
        if job_state_is_final "$state"; then
            [ "$wanted" != ENDED ] || return 0
            fail "job $job is $state and will not be $wanted"
        fi
        ((SECONDS < deadline)) || fail "job $job is ${state:-unknown} after ${3:-60} s, not $wanted"
        sleep 0.1
    done
}

job_state_is_final() {
    case $1 in
        BOOT_FAIL | CANCELLED | COMPLETED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | TIMEOUT) ;;
        *) return 1 ;;
    esac
}
