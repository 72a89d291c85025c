# shellcheck shell=bash
# The network: two bridges in a network namespace of their own (the switch), and a cable (veth) to each machine.
#
#   inside   10.77.0.0/24   ctl .1, login .2, nodeK .10+K
#   outside  10.78.0.0/24   login .2, laptop .3
#
# The laptop has no route inward, as behind a real login node. No machine has a default route and no cable ends in the
# host's namespace: no packet can leave, and labs with the same addresses do not meet. Each machine has an address
# besides loopback because Slurm cannot resolve even 127.0.0.1 without one (its getaddrinfo asks with AI_ADDRCONFIG).

INSIDE=inside
OUTSIDE=outside
INSIDE_NET=10.77.0
OUTSIDE_NET=10.78.0

# address MACHINE: its address on the inside network
address() {
    case $1 in
        ctl) echo "$INSIDE_NET.1" ;;
        login) echo "$INSIDE_NET.2" ;;
        node*) echo "$INSIDE_NET.$((10 + ${1#node}))" ;;
    esac
}

# The switch is a process that does nothing but hold the namespace. It is no machine's: power cuts leave it alone.
switch_start() {
    local record=$STATE/machines/switch.keeper pid host_net
    (
        process_record "$BASHPID" "$record"
        exec setsid unshare --net sleep infinity </dev/null >"$STATE/log/switch.log" 2>&1 9<&-
    ) &
    disown $! # its end is nothing that bash should report
    host_net=$(readlink /proc/self/ns/net)
    while [ ! -s "$record" ]; do sleep 0.01; done
    while pid=$(process_pid "$record") && [ "$(readlink "/proc/$pid/ns/net")" = "$host_net" ]; do sleep 0.01; done
    [ -n "$pid" ] || fail "the switch did not start: $(cat "$STATE/log/switch.log")"
    switch_ip <<BATCH
link add $INSIDE type bridge
link set $INSIDE up
link add $OUTSIDE type bridge
link set $OUTSIDE up
BATCH
}

# switch_ip: runs lines of `ip` commands at the switch
switch_ip() {
    local pid
    pid=$(process_pid "$STATE/machines/switch.keeper") || fail "the switch of this lab is gone: 'lab down', then up"
    nsenter --target "$pid" --net -- ip -batch -
}

# cable_connect MACHINE PID INTERFACE ADDRESS BRIDGE: a new cable from the machine to a bridge
cable_connect() {
    # A power cut took the earlier cable away, but the kernel clears namespaces with some delay.
    switch_ip <<<"link delete $1-$3" 2>/dev/null || true
    switch_ip <<BATCH
link add $1-$3 type veth peer name $3 netns $2
link set $1-$3 master $5 up
BATCH
    nsenter --target "$2" --net -- ip -batch - <<BATCH
link set lo up
address add $4/24 dev $3
link set $3 up
BATCH
}

# network_connect MACHINE PID
network_connect() {
    case $1 in
        login)
            cable_connect login "$2" eth0 "$(address login)" $INSIDE
            cable_connect login "$2" eth1 $OUTSIDE_NET.2 $OUTSIDE ;;
        laptop) cable_connect laptop "$2" eth0 $OUTSIDE_NET.3 $OUTSIDE ;;
        *) cable_connect "$1" "$2" eth0 "$(address "$1")" $INSIDE ;;
    esac
}

network_write_hosts() {
    local machine
    {
        echo "127.0.0.1 localhost"
        for machine in ctl login "${NODE_NAMES[@]}"; do echo "$(address "$machine") $machine"; done
    } >"$STATE/etc/hosts"
    printf '%s\n' "127.0.0.1 localhost" "$OUTSIDE_NET.2 login" "$OUTSIDE_NET.3 laptop" >"$STATE/etc-laptop/hosts"
    : >"$STATE/etc/resolv.conf" # there is no name server to be reached
}
