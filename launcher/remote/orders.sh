# What is done after the first look: one order after the other, until nobody gives one any more.

word() { IFS= read -r "$1" <&3; }

# Asks the process $1, if it still is the one that the record names, by its start and its host's boot: ids are used again. As
# text, because srun may have to run it on another node.
ask_process='
pid=$1 start=$2 boot=$3
stat=$(cat "/proc/$pid/stat") || exit
set -- ${stat##*)}
if [ "${20}" = "$start" ] && [ "$(cat /proc/sys/kernel/random/boot_id)" = "$boot" ]; then
    kill -s TERM "$pid"
    exit
fi
echo "process $pid is not the ipjob of that record" >&2
exit 1'

ask() {
    case $how in
    batch) limited scancel --batch --signal=TERM "$id" ;;
    step) limited scancel --signal=TERM "$step" ;;
    waiting) limited scancel --state=PENDING "$id" ;;
    process) /bin/sh -c "$ask_process" sh "$pid" "$start" "$boot" ;;
    node)
        in_job limited "$id" "$node" /bin/sh -c "$ask_process" sh "$pid" "$start" "$boot"
        ;;
    esac
}

# Writes a request into the file that the ipjob of that life has made for it.
request() {
    if [ -L "$path" ] || [ ! -f "$path" ] || [ ! -O "$path" ]; then
        echo "$path is not there, or not yours"
        return 1
    fi
    # Empty is what an earlier request left that found the disk full: it empties the file first.
    case $(head -n 1 "$path") in
    "$life" | '') ;;
    *)
        echo "$path is another ipjob's"
        return 1
        ;;
    esac
    printf '%s\n%s\n' "$life" "$line" >"$path"
}

# One ssh session in the job: after the part `raw` these streams are its own. What has become of the job is told on stderr then.
session() {
    if ! fault=$(make_host_key 2>&1); then
        part refused
        printf '%s\n' "$fault"
        part end
        return
    fi
    part host_key "$(ssh-keygen -y -f "$directory/host")"
    part raw
    in_job '' "$id" "$node" "$program" sshd "$record" "$key" <&3
    code=$?
    # The end of stdout is the session's.
    exec >&2
    part code "$code"
    part over
    look
}

# The host key of the job, in $directory: whoever asks first makes it, for all.
make_host_key() {
    umask 077
    if ! is_own "${directory%/*}"; then
        echo "${directory%/*} is not there, or not yours"
        return 1
    fi
    mkdir -p "$directory" || return
    [ ! -f "$directory/host" ] || return 0
    ssh-keygen -q -t ecdsa -N '' -C '' -f "$directory/host-$$" || return
    # Some file systems have no second names.
    ln "$directory/host-$$" "$directory/host" 2>/dev/null || mv -n "$directory/host-$$" "$directory/host"
    rm -f "$directory/host-$$" "$directory/host-$$.pub"
    [ -f "$directory/host" ]
}

kept() {
    part kept "$1"
    printf '%s\n' "$2"
}

# Removes or, with dry=1, names what a job left: $record is its record and $life stands in it, $pointer its pointer. What has
# changed since the look is another job's now.
remove() {
    if [ -n "$record" ]; then
        remove_profile "${record%/*}" || return
    elif [ -n "$pointer" ]; then
        rest=$(record_of "$pointer")
        case $rest in
        /*/profile_*/ipjob.json) remove_rest "${rest%/*}" || return ;;
        esac
    fi
    [ -z "$pointer" ] || gone "$pointer" rm -f "$pointer"
}

gone() {
    gone_path=$1
    shift
    if [ "$dry" = 1 ]; then
        part removed "$gone_path"
    elif fault=$("$@" 2>&1); then
        part removed "$gone_path"
    else
        kept "$gone_path" "$fault"
        return 1
    fi
}

remove_profile() {
    if [ -L "$1" ] || ! is_mine "$record"; then
        kept "$1" 'it is a link or not yours, or others could have put it there'
        return 1
    fi
    if ! grep -qF "\"id\": \"$life\"" "$record" 2>/dev/null; then
        kept "$record" 'it has changed just now'
        return 1
    fi
    if [ -s "$1/ipjob.lock" ] && ! grep -qF "\"$life\"" "$1/ipjob.lock"; then
        kept "$1" 'another ipjob has locked it'
        return 1
    fi
    if grep -qaF "IPJOB_INCARNATION=$life" /proc/[0-9]*/environ 2>/dev/null; then
        kept "$1" 'processes of the job still run here; the next ipjob in this profile ends them'
        return 1
    fi
    remove_rest "$1" || return
    remove_sockets "$1"/ipjob-runtime*/jupyter || return
    if [ -f "$1/.made-by-ipjob" ] && [ ! -L "$1/.made-by-ipjob" ]; then
        # Under another name first: an ipjob that begins now makes a profile of its own.
        gone "$1" remove_tree "$1" "${1%/*}/.ipjob-removing-${1##*/}-$$"
        return
    fi
    # Not made by ipjob: only what ipjob itself put there.
    for file in "$1"/ipjob-runtime "$1"/ipjob-runtime-* "$1"/security/ipcontroller-ipjob[0-9]* "$1/ipjob.lock"; do
        { [ ! -e "$file" ] || gone "$file" rm -rf "$file"; } || return
    done
    [ -L "$1/log" ] || for file in "$1"/log/ipjob-*.log "$1"/log/enginesipjob[0-9]*.json; do
        { [ ! -f "$file" ] || gone "$file" rm -f "$file"; } || return
    done
    gone "$record" rm -f "$record"
}

# Jupyter's runtime directories, which lie on a disk of the job's node: where these links lead, if this is that node.
remove_sockets() {
    for link; do
        target=$(readlink "$link" 2>/dev/null) || continue
        case ${target##*/} in
        ipjob[a-z2-7][a-z2-7][a-z2-7][a-z2-7][a-z2-7][a-z2-7]) [ -d "$target" ] && [ ! -L "$target" ] && [ -O "$target" ] || continue ;;
        *) continue ;;
        esac
        gone "$target" rm -rf "$target" || return
    done
}

# What an earlier clean of the profile $1 has moved away and could not remove: a file was still open (NFS: .nfs...), say.
remove_rest() {
    for rest in "${1%/*}/.ipjob-removing-${1##*/}-"*; do
        [ -d "$rest" ] && [ ! -L "$rest" ] && [ -O "$rest" ] || continue
        gone "$rest" rm -rf "$rest" || return
    done
}

remove_tree() { mv "$1" "$2" && rm -rf "$2"; }

follow() {
    job=$1 format=$2 cluster= forgotten='*'
    look
    while word order; do
        case $order in
        look) look ;;
        ask)
            word how && word id && word step && word node && word pid && word start && word boot || return
            answer=$(ask 2>&1)
            part asked "$?"
            printf '%s\n' "$answer"
            part end
            ;;
        request)
            word path && word life && word line || return
            answer=$(request 2>&1)
            part asked "$?"
            printf '%s\n' "$answer"
            part end
            ;;
        session)
            word directory && word key && word id && word node && word program && word record || return
            session
            return
            ;;
        remove)
            word dry && word pointer && word record && word life || return
            remove
            part end
            ;;
        esac
    done
}

follow "$@" 3<&0 </dev/null
