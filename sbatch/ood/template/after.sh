# The portal sources this once script.sh runs, and shows the button when it is done: then engines and Jupyter are ready. ipjob's own limit for the
# start (--start-timeout) applies; a failed start ends the job.
until [[ -e ready ]]; do
  kill -0 "$SCRIPT_PID" 2>/dev/null || clean_up 1
  sleep 1
done
