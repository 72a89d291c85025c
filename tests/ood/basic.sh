# What the portal's batch_connect runs around script.sh (template "basic"), in the directory of the session.
set_up() { host=$(hostname); export host port; }

find_port() {
  local port
  for port in $(shuf -i 2000-65535 -n 100); do
    (: <"/dev/tcp/$1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

create_passwd() (tr -cd 'a-zA-Z0-9' </dev/urandom | head -c"$1")

create_yml() (
  umask 077
  echo -e "host: $host\nport: $port\npassword: $password" >connection.yml
)

clean_up() {
  [[ -e clean.sh ]] && source clean.sh
  [[ $SCRIPT_PID ]] && pkill -P "$SCRIPT_PID"
  pkill -P $$
  exit "${1:-0}"
}

set_up
[[ -e before.sh ]] && source before.sh
./script.sh &
SCRIPT_PID=$!
[[ -e after.sh ]] && source after.sh
create_yml
wait "$SCRIPT_PID" || clean_up 1
clean_up
