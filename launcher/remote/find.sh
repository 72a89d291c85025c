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

# Runs a command in the job $2, on its node $3, beside whatever runs there; $1 is what srun is started by: exec, limited, or nothing.
in_job() {
    by=$1 in_id=$2 in_node=$3
    shift 3
    forget_own_job
    $by srun --quiet --overlap --unbuffered --jobid="$in_id" --nodelist="$in_node" --nodes=1 --ntasks=1 --mpi=none --export=ALL "$@"
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

# What is believed, by the rule of launcher/here/os/secure_path.rs, which says why: whether the directory $1 is the user's own, nobody else
# can put anything into it, and nobody else can replace what leads to it.
is_own() {
    [ -O "$1" ] && is_safe "$1" && is_closed "$at/."
}

# Whether what is the user's stays in each directory on the way to $1, and each link on it is the user's or root's. What it leads to
# is $at then. What is wrong above the home directory ($doubt) is the administrators' choice for what lies in that.
is_safe() {
    doubt=
    walk "$1" judge && [ -z "$doubt" ]
}

# Goes to $1 as the kernel does, to $at; $2 is asked about each directory on the way, and with a link in it before that is followed.
walk() {
    at= ahead=${1#/} turns=0
    [ "/$ahead" = "$1" ] && "$2" /. || return
    while [ -n "$ahead" ]; do
        hop=${ahead%%/*}
        case $ahead in
        */*) ahead=${ahead#*/} ;;
        *) ahead= ;;
        esac
        case $hop in
        '' | .) continue ;;
        ..) at=${at%/*} ;;
        *)
            if [ -L "$at/$hop" ]; then
                turns=$((turns + 1))
                [ "$turns" -le 40 ] && "$2" "$at/." "$at/$hop" && link=$(readlink "$at/$hop") || return
                ahead=$link/$ahead
                case $link in
                /*) at= ;;
                *) continue ;;
                esac
            else
                at=$at/$hop
            fi
            ;;
        esac
        "$2" "$at/." || return
    done
}

judge() {
    case $above in
    *"
$1
"*)
        doubt=1
        return 0
        ;;
    esac
    if [ "$#" = 2 ]; then
        { list "$2" && is_trusted; } || is_closed "$1"
    elif [ "$1" = "$home" ]; then
        doubt=
    else
        holds "$1"
    fi
}

# On the way home: notes directories in which what is the user's may not stay, unless every user can write there, which nobody chose.
note() {
    [ "$#" = 1 ] && ! holds "$1" && [ -n "$group" ] || return 0
    case $mode in
    ????????w*) ;;
    *) above="$above$1
" ;;
    esac
}

# Whether what is the user's stays in the directory $1. Nobody else can undo what was found once.
holds() {
    case $held in
    *"
$1
"*) return 0 ;;
    esac
    group=
    [ -d "$1" ] && list "$1" && is_trusted || return
    case $mode in
    ?????????[tT]*) ;;
    *) is_closed "$1" || return ;;
    esac
    held="$held$1
"
}

# Whether nobody else can write in it: its group can if that is root's or the user's alone and no access list (+) names others.
is_closed() {
    case $closed in
    *"
$1
"*) return 0 ;;
    esac
    list "$1" && is_trusted || return
    case $mode in
    ????????w* | ?????w*+*) return 1 ;;
    ?????w*) is_private || return ;;
    esac
    closed="$closed$1
"
}

# Whether $group is root's, or the user's primary group (not one that newgrp has set) with the user's number, or with the user's name
# and no other members. Asked once, because the site's directory may be slow.
is_private() {
    [ "$group" != 0 ] || return 0
    [ "$group" != "$own" ] || [ "$group" != "$own_group" ] || return 0
    [ -n "$private" ] || private=$(find_private) || private=none
    [ "$group" = "$private" ]
}

find_private() {
    name=$(limited id -un) && primary=$(limited id -g "$name") || return
    if [ "$primary" != "$own" ]; then
        entry=$(limited getent group "$primary" 2>/dev/null)
        case $entry in
        "$name":*:"$primary": | "$name":*:"$primary:$name") ;;
        *) return 1 ;;
        esac
    fi
    echo "$primary"
}

# The mode, owner and group of $1. A dot at its end stands for what an automounter mounts.
list() {
    set -f
    # shellcheck disable=SC2046
    set -- $(LC_ALL=C ls -ldn "$1" 2>/dev/null)
    set +f
    mode=$1 owner=$3 group=$4
    [ -n "$group" ]
}

# A user namespace shows root of the host by the number for all users that it has not.
is_trusted() {
    case $owner in
    0 | "$own" | "$unmapped") ;;
    *) return 1 ;;
    esac
}

own=$(id -u) own_group=$(id -g) unmapped=0 private=
held='
'
closed=$held above=$held home=
if [ -r /proc/self/uid_map ]; then
    read -r inside outside length </proc/self/uid_map
    [ "$inside $outside $length" = '0 0 4294967295' ] || unmapped=$(cat /proc/sys/kernel/overflowuid)
fi
if walk "$HOME" note && [ -O "$at/." ] && is_closed "$at/."; then
    home=$at/.
else
    above='
'
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
    case $seen in *"
$1
"*) return ;; esac
    seen="$seen$1
"
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
            # Of 0.1.0 they had no profile in their names.
            for file in "$state"/ipjob/*.$number.*.json "$state"/ipjob/*.$number.json; do show_pointer "$file"; done
        done
        set +f
    done
    # Where no pointer could be written, the usual place tells.
    [ -n "$IPYTHONDIR" ] || IPYTHONDIR=$HOME/.ipython
    part profiles "$IPYTHONDIR"
    case $job in
    '') numbers='*' prefix= ;;
    *[!0-9_]* | *_*_* | _* | *_) numbers=$job prefix= ;;
    *) prefix=job_ ;;
    esac
    set -f
    for number in $numbers; do
        set +f
        for file in "$IPYTHONDIR"/profile_$prefix$number/ipjob.json "$IPYTHONDIR"/profile_$prefix$number-*/ipjob.json; do
            ! is_mine "$file" || show_record "$file"
        done
    done
    set +f
}

# The numbers of the jobs whose name begins so, in the queue as it was told last.
numbers_of() { printf '%s\n' "$lines" | sed -n "s/^\([0-9]*\)|$1.*/\1/p"; }
