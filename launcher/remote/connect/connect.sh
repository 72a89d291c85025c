# Tells of one job again and again: its record and client file when they change, Slurm's queue when it matters. It only looks, until
# its stdin says otherwise: `job JOB` names the job anew, `srun ID NODE COMMAND ...` makes way for a step of the job whose streams are
# carried, `end` or the end of stdin is the end.
# $1: the job, or nothing for all; $2: squeue's format.

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

connect() {
    job=$1 format=$2 cluster= forgotten=
    watch </dev/null &
    watch=$!
    # Not in vain where the connection is cut without a word: sshd closes this stdin, or nothing does and nobody is kept busy.
    while read -r verb word; do
        case $verb in
        job)
            kill "$watch"
            job=$word
            watch </dev/null &
            watch=$!
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
    kill "$watch"
    exit 0
}

connect "$@"
