# shellcheck shell=bash
# The people inside (alice, bob): they exist in the machines' own passwd files only, never on the host.

FIRST_UID=20001

# The host's accounts are kept, because munge, slurm and sshd are among them. The passwords are not.
accounts_create() {
    local name id=$FIRST_UID
    cp /etc/passwd /etc/group "$STATE/etc/"
    for name in "${USERS[@]}"; do
        sed -i "/^$name:/d" "$STATE/etc/passwd" "$STATE/etc/group"
        echo "$name:x:$id:$id:$name:/home/$name:/bin/bash" >>"$STATE/etc/passwd"
        echo "$name:x:$id:" >>"$STATE/etc/group"
        install -d -m 700 -o "$id" -g "$id" "$STATE/home/$name" "$STATE/home-laptop/$name"
        id=$((id + 1))
    done
    # A star is "no password", and unlike an exclamation mark not "locked": sshd lets keys in.
    sed 's/:.*/:*:19000:0:99999:7:::/' "$STATE/etc/passwd" >"$STATE/etc/shadow"
    chmod 640 "$STATE/etc/shadow"
    chgrp shadow "$STATE/etc/shadow"
}
