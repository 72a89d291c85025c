# Tells what there is of the user's jobs: where this is, Slurm's queue, pointers and records. It only looks.
# $1: the job (an id, ARRAY_INDEX, a profile, or nothing for all); $2: squeue's format. What follows says what is done then.

part() { printf '\n%s %s\n' "$mark" "$*"; }

# Slurm's programs hang for minutes when its controller is down.
limited() {
    if command -v timeout >/dev/null 2>&1; then timeout 30 "$@"; else "$@"; fi
}

# What srun would take for options of a step in another job, where this shell is in one itself.
forget_own_job() {
    for name in $(env | sed -n 's/^\(S\(LURM\|RUN\)_[A-Z0-9_]*\)=.*/\1/p'); do
        [ "$name" = SLURM_CONF ] || unset "$name"
    done
}

# The user's own defaults for squeue may hide jobs.
look_at_queue() {
    lines=
    if ! command -v squeue >/dev/null 2>&1; then
        part queue absent
        return
    fi
    for name in $(env | sed -n 's/^\(SQUEUE_[A-Z0-9_]*\)=.*/\1/p'); do unset "$name"; done
    unset SLURM_CLUSTERS SLURM_BITSTR_LEN
    lines=$(SLURM_TIME_FORMAT=%s limited squeue --noheader --states=all --user="$(id -u)" --format="$format" 2>&1)
    code=$?
    # A controller that does not answer one program is not asked by the next.
    [ -n "$cluster" ] || [ "$code" != 0 ] || cluster=${SLURM_CLUSTER_NAME:-$(limited scontrol show config 2>/dev/null | sed -n 's/^ClusterName *= *//p')}
    part cluster "$cluster"
    part queue "$code"
    printf '%s\n' "$lines"
    [ "$code" = 0 ] || return
    case $job in
    '' | *[!0-9]*) return ;;
    esac
    printf '%s\n' "$lines" | grep -q -e "^$job|" -e "^[0-9]*|${job}_" && return
    part owner
    SLURM_TIME_FORMAT=%s limited squeue --noheader --states=all --jobs="$job" --format="$format" 2>/dev/null
}

# sshd's rule for what is believed (launcher/here/secure_path.rs says why): whether the directory $1 is the user's own, nobody else can
# put anything into it, and nobody else can exchange what leads to it.
is_own() {
    [ -O "$1" ] && is_safe "$1" && is_closed "$at/."
}

# Whether each directory on the way to $1 belongs to the user or root and is closed to others, unless it is sticky, and each link can
# only have been put there by these two. What it leads to is $at then.
is_safe() {
    at= ahead=${1#/} turns=0
    [ "/$ahead" = "$1" ] && holds /. || return
    while [ -n "$ahead" ]; do
        hop=${ahead%%/*}
        case $ahead in
        */*) ahead=${ahead#*/} ;;
        *) ahead= ;;
        esac
        case $hop in
        '' | .) continue ;;
        ..)
            at=${at%/*}
            continue
            ;;
        esac
        if [ -L "$at/$hop" ]; then
            turns=$((turns + 1))
            [ "$turns" -le 40 ] || return
            { list "$at/$hop" && is_trusted; } || is_closed "$at/." || return
            link=$(readlink "$at/$hop") || return
            ahead=$link/$ahead
            case $link in
            /*) at= ;;
            esac
            continue
        fi
        at=$at/$hop
        holds "$at/." || return
    done
}

# Whether what is the user's stays in the directory $1. Nobody else can undo what was found once.
holds() {
    case $held in
    *"
$1
"*) return ;;
    esac
    [ -d "$1" ] && list "$1" && is_trusted || return
    case $mode in
    ?????????[tT]*) ;;
    *) is_closed "$1" || return ;;
    esac
    held="$held$1
"
}

# Whether nobody else can write in it. A group of the user's own number is the user's alone, unless an access list (+) names others.
is_closed() {
    list "$1" && is_trusted || return
    case $mode in
    ????????w* | ?????w*+*) return 1 ;;
    ?????w*) [ "$group" = "$own" ] && [ "$group" = "$own_group" ] ;;
    esac
}

# The mode, owner and group of $1. A dot at its end stands for what an automounter mounts.
list() {
    read -r mode _ owner group _ <<EOF
$(LC_ALL=C ls -ldn "$1" 2>/dev/null)
EOF
    [ -n "$group" ]
}

# A user namespace shows root of the host by the number for all users that it has not.
is_trusted() {
    case $owner in
    0 | "$own" | "$unmapped") ;;
    *) return 1 ;;
    esac
}

own=$(id -u) own_group=$(id -g) unmapped=0
held='
'
if [ -r /proc/self/uid_map ]; then
    read -r inside outside length </proc/self/uid_map
    [ "$inside $outside $length" = '0 0 4294967295' ] || unmapped=$(cat /proc/sys/kernel/overflowuid)
fi

# Whether a file is the user's, in a directory of the user's.
is_mine() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && is_own "${1%/*}"
}

# One record, once, and what belongs to it.
show_record() {
    case $seen in *"
$1
"*) return ;; esac
    seen="$seen$1
"
    if [ ! -e "$1" ]; then
        part absent "$1"
        return
    fi
    if ! is_mine "$1"; then
        part foreign "$1"
        return
    fi
    if [ ! -r "$1" ]; then
        part closed "$1"
        return
    fi
    part record "$1"
    head -c 2097153 "$1"
    show_beside "$1"
}

# The process that a record names: whose number and start that is, the reader compares.
show_beside() {
    pid=$(head -c 2097153 "$1" | sed -n '/^  "incarnation": {$/,/^  }/s/^    "pid": \([0-9]\{1,9\}\),\{0,1\}$/\1/p' | head -n 1)
    [ -n "$pid" ] || return
    part process "$pid"
    cat "/proc/$pid/stat" 2>/dev/null
}

# Where the pointer $1 says that its record lies.
record_of() {
    head -c 65537 "$1" | sed -n 's/^ *"record": *"\(.*\)",\{0,1\}$/\1/p' | head -n 1 | sed 's/\\\(["\\/]\)/\1/g'
}

show_pointer() {
    is_mine "$1" && [ -r "$1" ] || return
    part pointer "$1"
    head -c 65537 "$1"
    record=$(record_of "$1")
    case $record in
    /*) show_record "$record" ;;
    esac
}

look() {
    part host "$(uname -n)"
    cat /proc/sys/kernel/random/boot_id 2>/dev/null
    part user "$(id -un)"
    part now "$(date +%s)"
    look_at_queue
    show_records
    part end
}

# Pointers and records that may be the job's.
show_records() {
    # Elements of a job array have numbers of their own, which squeue tells; of one that it has forgotten only its record does,
    # which is any ($forgotten).
    numbers=$job
    case $job in
    '' | *[!0-9_]* | *_*_* | _* | *_) numbers='*' ;;
    *_*) numbers=$(numbers_of "$job|") ;;
    *) numbers=$({ printf '%s\n' "$job"; numbers_of "${job}_"; } | sort -u) ;;
    esac
    [ -n "$numbers" ] || numbers=$forgotten
    seen='
'
    known=
    for state in "$XDG_STATE_HOME" "$HOME/.local/state"; do
        case $state in
        "$known") continue ;;
        /*) ;;
        *) continue ;;
        esac
        known=$state
        set -f
        for number in $numbers; do
            set +f
            for file in "$state"/ipjob/*.$number.json; do show_pointer "$file"; done
        done
        set +f
    done
    # Where no pointer could be written, the usual place tells.
    [ -n "$IPYTHONDIR" ] || IPYTHONDIR=$HOME/.ipython
    case $job in
    '') numbers='*' prefix= ;;
    *[!0-9_]* | *_*_* | _* | *_) numbers=$job prefix= ;;
    *) prefix=job_ ;;
    esac
    set -f
    for number in $numbers; do
        set +f
        for file in "$IPYTHONDIR"/profile_$prefix$number/ipjob.json; do
            ! is_mine "$file" || show_record "$file"
        done
    done
    set +f
}

# The numbers of the jobs whose name begins so, in the queue as it was told last.
numbers_of() { printf '%s\n' "$lines" | sed -n "s/^\([0-9]*\)|$1.*/\1/p"; }
