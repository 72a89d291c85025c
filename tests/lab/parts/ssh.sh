# shellcheck shell=bash
# ssh as people have it: a key of one's own, known host keys (strict checking stays on), login node as the jump host.

ssh_create() {
    local machine name
    for machine in login "${NODE_NAMES[@]}"; do
        ssh-keygen -q -t ed25519 -N '' -C "$machine" -f "$STATE/keys/$machine"
        ssh_known_host "$machine" >>"$STATE/keys/known_hosts"
    done
    for name in "${USERS[@]}"; do ssh_create_user "$name"; done
}

# The line of known_hosts for a machine, under its name and its addresses
ssh_known_host() {
    local names
    names=$1,$(address "$1")
    [ "$1" != login ] || names+=,$OUTSIDE_NET.2
    echo "$names $(cut -d' ' -f1,2 "$STATE/keys/$1.pub")"
}

# The same key on the laptop and in the cluster, so that login -> node works too.
ssh_create_user() {
    local laptop=$STATE/home-laptop/$1/.ssh cluster=$STATE/home/$1/.ssh
    mkdir "$laptop" "$cluster"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$laptop/id_ed25519"
    cp "$STATE/keys/known_hosts" "$laptop/known_hosts"
    cp "$laptop"/* "$cluster/"
    cp "$laptop/id_ed25519.pub" "$cluster/authorized_keys"
    printf 'Host node*\n    ProxyJump login\n' >"$laptop/config"
    chmod 600 "$laptop"/* "$cluster"/*
    chmod 700 "$laptop" "$cluster"
    chown -R --reference="$STATE/home/$1" "$laptop" "$cluster"
}

# ssh_prepare_host MACHINE: puts the configuration of its sshd into its /run
ssh_prepare_host() {
    local run=$STATE/run/$1
    mkdir -p "$run/ssh"
    install -d -m 755 "$run/sshd" # sshd insists on this directory
    install -m 600 "$STATE/keys/$1" "$run/ssh/host_key"
    cat >"$run/ssh/sshd_config" <<'CONFIG'
Port 22
HostKey /run/ssh/host_key
PidFile /run/sshd.pid
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
CONFIG
}
