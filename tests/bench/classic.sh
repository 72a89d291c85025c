#!/usr/bin/env bash
# The body of the batch script that goes from wiki to wiki, as people run it; only `srun` before the engines is missing,
# and everything stays on the loopback address. $1 is the number of engines.
profile=job_$$

ipython profile create --parallel --profile="$profile"

ipcontroller --ip=127.0.0.1 --profile="$profile" &
sleep 10

for _ in $(seq "$1"); do
  ipengine --profile="$profile" &
done

port=$(shuf -i 8000-9999 -n 1)
# Containers run as root, and Jupyter refuses that unless it is told.
jupyter-lab --allow-root --no-browser --ip=127.0.0.1 --port="$port"
