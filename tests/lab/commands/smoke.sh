# shellcheck shell=bash
# lab smoke: starts a lab, makes the few checks on which all tests rest, and ends it. Takes the options of `up`.

command_smoke() {
    [ ! -e "$STATE/ready" ] || fail "a lab is already up in $STATE"
    trap '"$LAB_DIR/lab" --state "$STATE" down' EXIT
    trap 'exit 1' INT TERM HUP
    "$LAB_DIR/lab" --state "$STATE" up "$@"
    settings_read

    smoke_check "nodes are idle" idle \
        login sinfo --noheader --format %T
    # shellcheck disable=SC2016
    smoke_check "a job on two nodes" "3 node1 3 node2" \
        login bash -c 'sbatch --quiet --nodes 2 --ntasks-per-node 3 --output /dev/null \
                           --wrap "srun hostname | sort | uniq --count | xargs >counting; mv counting counted"
                       for ((try = 0; try < 300; try++)); do [ ! -e counted ] || break; sleep 0.1; done
                       cat counted'
    smoke_check "ssh from the laptop, through the login node" node2 \
        laptop ssh -o BatchMode=yes node2 hostname
    smoke_check "no way for the laptop past the login node" "no way" \
        laptop bash -c '(: <>/dev/tcp/10.77.0.11/22) 2>/dev/null || echo no way'
    say "smoke: ok"
}

# smoke_check WHAT EXPECTED MACHINE CMD...: runs the command as the first user and compares what it prints.
smoke_check() {
    local found
    found=$("$LAB_DIR/lab" --state "$STATE" in -u "${USERS[0]}" "${@:3}")
    [ "$found" = "$2" ] || fail "$1: expected '$2', found '$found'"
    say "$1"
}
