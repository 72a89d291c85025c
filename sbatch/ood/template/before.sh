# The portal's script sources this on the first node, before script.sh. The port is a part of Jupyter's path, and the button of view.html.erb sends the
# password: so both are chosen here. No argument and no variable contains the password, and nobody else can read the file.
port=$(find_port "$host")
password=$(create_passwd 32)
(
  umask 077
  printf '%s\n' "$password" >token
)
# The button "Delete" is scancel, which signals only the portal's script: this passes the signal on to ipjob, which shuts down cleanly.
trap 'kill "$SCRIPT_PID"; wait "$SCRIPT_PID"; exit' TERM
