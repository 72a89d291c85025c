#!/usr/bin/env bash
# venv.sh NAME [SLURM]: prints the path of the virtual environment .cache/venv/NAME and makes it first, from the pinned
# versions in NAME.txt beside this script, where it is missing, unfinished or of other versions. With another version of Slurm than
# the host's it is one for the lab of that version, made by the Python there: .cache/venv/NAME-slurm-SLURM.
#
# Standard output carries the path and nothing else. Exit 75 (try again elsewhere) means that it can't be had here,
# and the last line on standard error says why in one line, so that tests can be skipped by name; 2 is a wrong NAME.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
top=$(dirname -- "$(dirname -- "$here")")
name=${1:-}
requirements=$here/$name.txt
slurm=${2:-}
if [[ $# -lt 1 || $# -gt 2 || -z $name || $name == */* || ! -f $requirements ]]; then
  echo "usage: venv.sh NAME [SLURM], where NAME is one of:" "$(cd -- "$here" && echo *.txt | sed 's/\.txt//g')" >&2
  exit 2
fi
home=$top/.cache/venv
made=$name${slurm:+-slurm-$slurm}
venv=$home/$made
log=$home/$made.log

say() { echo "venv.sh: $made: $*" >&2; }
unavailable() { say "$*"; exit 75; }

# What belongs to the versions: the list itself, one that it goes on from (`-r`), and the hub's proxy.
sources=("$requirements")
while read -r other; do sources+=("$here/$other"); done < <(sed -n 's/^-r //p' "$requirements")
[[ $name != hub* ]] || sources+=("$here/proxy.sh")
# The path is part of the stamp because the programs in bin/ carry it: a copied or moved checkout needs its own.
stamp="$(cat -- "${sources[@]}" | sha256sum | cut -d' ' -f1) $venv"
complete() {
  [[ -f $venv/.complete && $(<"$venv/.complete") == "$stamp" ]] && "$venv/bin/python" -c '' 2>/dev/null
}

# The pinned versions need 3.11. ensurepip is asked for as well, because Debian splits it off into python3-venv.
python_here() {
  local candidate
  for candidate in /usr/bin/python3 python3 python3.1{1,2,3,4}; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python why
  if ! python=$(python_here); then
    say "no Python with venv found; trying the system's packages"
    "$top/tests/install-packages" python3-venv 9>&- || true
    python=$(python_here) || unavailable "no Python 3.11 or later with venv and ensurepip (Debian: python3-venv)"
  fi
  # The user's own Python settings would make packages land, or be found, outside of the environment.
  unset PYTHONHOME PYTHONPATH PIP_PREFIX PIP_ROOT PIP_TARGET PIP_USER
  export PYTHONNOUSERSITE=1

  say "making it with $("$python" --version) (a minute or two; log: $log)"
  # The stamp goes first and comes back last, so that an interrupted run never leaves a half-made one that looks whole.
  rm -f -- "$venv/.complete"
  rm -rf -- "$venv"
  "$python" -m venv "$venv" >"$log" 2>&1 || unavailable "python -m venv failed: $(tail -n 1 "$log")"
  if ! "$venv/bin/python" -m pip install --no-input --disable-pip-version-check -r "$requirements" >>"$log" 2>&1; then
    why=$(grep '^ERROR: ' "$log" | tail -n 1) || why=$(tail -n 1 "$log")
    unavailable "pip could not install it: ${why#ERROR: }"
  fi
  "$venv/bin/python" -m pip check >>"$log" 2>&1 || unavailable "its versions don't fit together: $(tail -n 1 "$log")"
  if [[ $name == hub* ]]; then
    "$here/proxy.sh" "$venv" >>"$log" 2>&1 || unavailable "npm could not install JupyterHub's proxy: $(tail -n 1 "$log")"
  fi
  echo "$stamp" >"$venv/.complete"
}

if ! complete; then
  # Of what the lab says, the last line tells what is missing, as here.
  [[ -z $slurm || -n ${IPJOB_IN_ROOT:-} ]] || IPJOB_IN_ROOT=1 exec "$top/tests/lab/lab" root "$slurm" --share "$top" -- "$here/venv.sh" "$@"
  mkdir -p -- "$home"
  # Two at once: the second waits for the first and then finds it made. pip inherits the lock: where it outlives a
  # killed script, nobody else begins to write into the same directory.
  exec 9>"$home/$made.lock"
  flock -n 9 || { say "another process is making it; waiting"; flock 9; }
  complete || make_venv
fi
echo "$venv"
