# Tells of one job again and again: its record and client file when they change, Slurm's queue when it matters. It only looks, until
# its stdin says otherwise: `job JOB` names the job anew, `srun ID NODE COMMAND ...` makes way for a step of the job whose streams are
# carried, `cancel ID` cancels a job, `end` or the end of stdin is the end.
# $1: the job, or nothing for all; $2: squeue's format; $3: `up` to find the job by its name or submit it. Then only the
# queue is told, and the batch script $4 of this machine, until `job` names one; `submit N` is followed by N arguments of sbatch and a
# batch script, which ends with the mark.

# In place of the one above: the client file that a record names.
show_beside() {
    client=$(head -c 2097153 "$1" | sed -n 's/^ *"client_file": *"\(.*\)",\{0,1\}$/\1/p' | head -n 1 | sed 's/\\\(["\\/]\)/\1/g')
    case $client in
    /*)
        is_mine "$client" && [ -r "$client" ] || return
        part client "$client"
        head -c 65537 "$client"
        ;;
    esac
}

# Slurm is asked while the record leaves something open, less and less often as long as nothing changes. With several clusters of a job the
# one that is meant may not be that which is ready ($unready tells of others): then for a minute.
is_open() {
    case $new in
    *'"state": "ready"'* | *'"state": "degraded"'*)
        [ "$unready" -gt 0 ] && [ "$pause" -lt 30 ] || [ -z "$(find "$first" -mmin -4 2>/dev/null)" ]
        ;;
    *) true ;;
    esac
}

# Every look ends with a part that says nothing: a part counts once the next one has begun.
watch() {
    lines= old= ask=0 pause=2 beat=0 unready=0
    part host "$(uname -n)"
    part user "$(id -un)"
    # In this shell itself, so that it keeps what was found of the directories ($held): each look is in a shell of its own.
    show_records >/dev/null
    while :; do
        if [ "$beat" -le 0 ]; then
            part now "$(date +%s)"
            part beat
            part over
            beat=10
        fi
        new=$(show_records)
        first=$(printf '%s\n' "$new" | sed -n "s/^$mark record //p" | head -n 1)
        if [ "$new" != "$old" ] || [ -z "$old$lines" ]; then
            [ "$new" = "$old" ] || ask=0 pause=2
            unready=$(printf '%s\n' "$new" | grep -c '^  "state": "\(starting\|stopping\|ended\)"')
            if is_open && [ "$ask" -le 0 ]; then
                look_at_queue
                ask=$pause
                new=$(show_records)
            fi
            old=$new
            show_records >/dev/null
            part records
            printf '%s\n' "$new"
            part now "$(date +%s)"
            part look
            part over
        elif is_open && [ "$ask" -le 0 ]; then
            look_at_queue
            part look
            part over
            [ "$pause" -ge 30 ] || pause=$((pause * 2))
            ask=$pause
        fi
        sleep 1
        ask=$((ask - 1)) beat=$((beat - 1))
    done
}

# What decides whether a job is submitted.
tell_queue() {
    batch=$1
    part host "$(uname -n)"
    part user "$(id -un)"
    case $batch in
    '' | /*) ;;
    *) batch=$HOME/$batch ;;
    esac
    if [ -n "$batch" ]; then
        if [ -f "$batch" ] && [ -r "$batch" ]; then
            part script "$batch"
            head -c 65536 "$batch"
        else
            part no_script "$batch"
        fi
    fi
    look_at_queue
    part asked
    part over
}

# Runs a command in the environment of a login, as where people type it: start-up files make modules and conda. What is at the
# command's stdin is nothing that they can read.
by_login() {
    case ${SHELL##*/} in
    bash | zsh | ksh | ksh93 | mksh | dash | sh) "$SHELL" -l -c 'exec "$@" <&3' sh "$@" 3<&0 </dev/null ;;
    *) "$@" ;;
    esac
}

# Whether sbatch has printed a job's number.
has_number() { printf '%s\n' "$answer" | grep -q '^[0-9][0-9]*\(;.*\)\{0,1\}$'; }

# Asks sbatch by the command in $1, with the arguments behind it.
ask_sbatch() {
    by=$1
    shift
    if [ -n "$batch" ]; then
        answer=$(cd "${batch%/*}" && $by sbatch --parsable "$@" "./${batch##*/}" 2>&1 </dev/null)
    else
        answer=$(printf '%s' "$body" | $by sbatch --parsable "$@" 2>&1)
    fi
}

submit() {
    count=$1
    set --
    while [ "$count" -gt 0 ]; do
        IFS= read -r line || return
        set -- "$@" "$line"
        count=$((count - 1))
    done
    # All of it before sbatch begins: one that does not read on would leave lines that pass for orders.
    body=$(while IFS= read -r line; do
        printf '%s\n' "$line"
        [ "$line" != "$mark" ] || break
    done)
    case $body in
    *"$mark") body=${body%"$mark"} ;;
    *) return ;;
    esac
    ask_sbatch by_login "$@"
    code=$?
    # Start-up files that become another shell, or end: sbatch was not asked.
    case $code in
    0 | 126 | 127) has_number || {
        ask_sbatch '' "$@"
        code=$?
    } ;;
    esac
    part submitted "$code"
    printf '%s\n' "$answer"
    if [ "$code" = 0 ]; then
        id=$(printf '%s\n' "$answer" | sed -n 's/^\([0-9][0-9]*\)\(;.*\)\{0,1\}$/\1/p' | tail -n 1)
        part output "$(limited scontrol show job "$id" 2>/dev/null | sed -n 's/^ *StdOut=//p' | head -n 1)"
    fi
    part over
}

connect() {
    job=$1 format=$2 cluster= forgotten=
    if [ "$3" = up ]; then
        watch=
        tell_queue "$4" </dev/null
    else
        watch </dev/null &
        watch=$!
    fi
    # Not in vain where the connection is cut without a word: sshd closes this stdin, or nothing does and nobody is kept busy.
    while read -r verb word; do
        case $verb in
        job)
            [ -z "$watch" ] || kill "$watch"
            job=$word
            watch </dev/null &
            watch=$!
            ;;
        submit) submit "$word" ;;
        cancel)
            answer=$(limited scancel "$word" 2>&1 </dev/null)
            part cancelled "$?"
            printf '%s\n' "$answer"
            part over
            ;;
        srun)
            # From here on the streams carry bytes: the job's end, or that of the connection, is the end of it.
            kill "$watch"
            wait "$watch" 2>/dev/null
            set -f
            # shellcheck disable=SC2086
            set -- $word
            id=$1 node=$2
            shift 2
            part raw
            in_job exec "$id" "$node" "$@"
            ;;
        *) break ;;
        esac
    done
    [ -z "$watch" ] || kill "$watch"
    exit 0
}

connect "$@"
