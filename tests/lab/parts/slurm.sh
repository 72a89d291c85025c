# shellcheck shell=bash
# Slurm's configuration, and munge's key.

slurm_create() {
    mkdir "$STATE/etc/slurm"
    slurm_configuration | slurm_apply_extra_lines >"$STATE/etc/slurm/slurm.conf"
    if [ "$GPUS" != 0 ]; then
        echo "Name=gpu File=/run/gpu[0-$((GPUS - 1))]" >"$STATE/etc/slurm/gres.conf"
    fi
    if [ -n "$CGROUP" ]; then
        # Without systemd Slurm has to make its groups of version 2 itself.
        local plugin=(CgroupPlugin=cgroup/v1 CgroupAutomount=no)
        [ "$CGROUP_VERSION" = 1 ] || plugin=(CgroupPlugin=cgroup/v2 IgnoreSystemd=yes)
        printf '%s\n' "${plugin[@]}" CgroupMountpoint=/sys/fs/cgroup ConstrainCores=no \
            ConstrainDevices=no "ConstrainRAMSpace=$([ -n "$MEMORY" ] && echo yes || echo no)" \
            ConstrainSwapSpace=no \
            >"$STATE/etc/slurm/cgroup.conf"
    fi
    # Read where the site's line says so: JobContainerType=job_container/tmpfs or, from 25.11 on, NamespaceType=namespace/linux.
    printf '%s\n' AutoBasePath=true BasePath=/run/job-tmp Dirs=/tmp,/dev/shm >"$STATE/etc/slurm/job_container.conf"
    printf '%s\n' defaults: '  auto_base_path: true' '  base_path: /run/job-tmp' '  clone_ns_flags: [CLONE_NEWPID]' \
        >"$STATE/etc/slurm/namespace.yaml"
    head -c 128 /dev/urandom >"$STATE/keys/munge.key"
    # slurmctld runs as the user slurm and writes these. It makes the list of ended jobs 0600 if it is not there yet,
    # and then `sacct -c`, all that there is of sacct without slurmdbd, could not read it.
    touch "$STATE/log/ended-jobs.txt"
    chown slurm "$STATE/log" "$STATE/log/ended-jobs.txt"
}

# Whatever is not named here is as Slurm has it by default.
slurm_configuration() {
    local proctrack=linuxproc task=none tmp=/tmp gres_types="" gres="" directory
    [ -z "$CGROUP" ] || proctrack=cgroup
    [ -z "$MEMORY" ] || task=cgroup
    # With a /tmp that all nodes share, the PMIx plugins of the nodes would want the same directory below it
    # ("Cannot create directory /tmp/spmix_appdir_...: File exists").
    for directory in "${SHARES[@]}"; do
        [ "$directory" != /tmp ] || tmp=/run/tmp
    done
    if [ "$GPUS" != 0 ]; then
        gres_types=GresTypes=gpu
        gres=" Gres=gpu:$GPUS"
    fi
    cat <<CONFIG
ClusterName=lab
SlurmctldHost=ctl
SlurmUser=slurm

# A requeued job waits until its credential has run out: 10 s here, 120 s by default.
AuthInfo=cred_expire=10
ProctrackType=proctrack/$proctrack
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU${MEMORY:+_Memory}
TaskPlugin=task/$task
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2

# Nodes may declare more CPUs than this machine has. (task/affinity would not bear that.)
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
# Seconds between TERM and KILL: 5 here, 30 by default.
KillWait=5
# Seconds that squeue remembers ended jobs.
MinJobAge=600

JobCompType=jobcomp/filetxt
JobCompLoc=/run/lab/log/ended-jobs.txt
SlurmctldPidFile=/run/slurmctld.pid
SlurmctldLogFile=/run/lab/log/slurmctld.log
SlurmdPidFile=/run/slurmd.pid
SlurmdLogFile=/run/lab/log/slurmd-%n.log
StateSaveLocation=/run/lab/disk
# Short, because PMIx makes sockets below it, whose paths may have 107 bytes.
SlurmdSpoolDir=/run/slurmd
SrunPortRange=60001-63000
TmpFS=$tmp
MailProg=/bin/true
$gres_types

NodeName=node[1-$NODES] CPUs=$CPUS RealMemory=$MEM$gres State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONFIG
}

# Filters the configuration: a line of --slurm-conf takes the place of the lab's own with the same key, which Slurm
# reads without regard to case. Nodes and partitions may be several and are only added.
slurm_apply_extra_lines() {
    local line extra key
    while IFS= read -r line; do
        for extra in "${EXTRA_LINES[@]}"; do
            key=${extra%%=*}
            key=${key,,}
            case $key in nodename | partitionname) continue ;; esac
            [[ ${line,,} != "$key"=* ]] || continue 2
        done
        printf '%s\n' "$line"
    done
    printf '%s\n' "${EXTRA_LINES[@]}"
}

# Waits until every node of the lab is idle, for at most 30 s.
slurm_wait_idle() {
    local try idle=0
    for ((try = 0; try < 300; try++)); do
        # The long form of the state marks a node that does not answer by a star: only "idle" itself counts.
        idle=$(machine_enter login sinfo --noheader --Node --format '%N %T' 2>/dev/null | sort -u | grep -c ' idle$') ||
            true
        [ "$idle" -lt "$NODES" ] || return 0
        sleep 0.1
    done
    tail -n 20 "$STATE"/log/*.log >&2
    fail "only $idle of $NODES nodes became idle (logs in $STATE/log)"
}
