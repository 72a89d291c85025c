//! More engines than the job has tasks, on the CPUs that it has.

use crate::support::lab::SlurmJob;
use crate::support::{HUB, Lab, carriers, wait_for};

/// Tells where each engine is, its rank and how many CPUs it was given.
const DRIVER: &str = "
import ipyparallel as ipp, os
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])
def told():
    import os, socket
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    hubs = [name for name in os.environ if name.startswith('JUPYTERHUB_')]
    assert not hubs, hubs
    return '%s %d/%d %s' % (socket.gethostname(), world.rank, world.allreduce(1), os.environ.get('SLURM_CPUS_PER_TASK'))
print('DRIVER', ', '.join(rc[:].apply_sync(told)), flush=True)
";

#[test]
fn cpus_are_engines_where_tasks_are_few() {
    let lab = needed!(Lab::up(&[]));
    let driver = lab.script("driver.py", DRIVER);
    let hub = format!("python3 {}", lab.script("hub.py", HUB).display());
    let tries = [
        ("ipjob -q", 8, "1"),
        ("srun --export=ALL -N1 -n1 ipjob -q", 8, "1"),
        // As in the terminal of a hub's server: in a step that has all CPUs of the job.
        ("srun --export=ALL -N1 -n1 HUB ipjob -n 4", 4, "2"),
        // It reaches the other node by an srun of its own.
        (
            "srun --export=ALL -N1 -n1 ipjob -q -n 4 --launcher mpiexec",
            4,
            "None",
        ),
    ];
    let lines = tries.map(|(start, ..)| {
        let start = start.replace("ipjob", "ipjob --mode cluster-only");
        let start = start.replace("HUB", &hub);
        format!("{start} -- python3 {} || exit 1\n", driver.display())
    });
    // As batchspawner submits: the list is in SLURM_EXPORT_ENV afterwards.
    let export = "--export=PATH,LANG,JUPYTERHUB_API_TOKEN=of-the-hub";
    let options = ["-N2", "--ntasks-per-node=1", "-c4", export];
    let two = lab.submit(&options, &lines.concat());
    let ended = two.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    // A hub's users have no ssh.
    assert!(
        ended.output.contains("ready: 4 engines") && !ended.output.contains("ssh"),
        "{}",
        ended.output
    );
    let told = ended
        .output
        .lines()
        .filter(|line| line.starts_with("DRIVER"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), tries.len(), "{}", ended.output);
    for (line, (start, engines, cpus)) in told.iter().zip(tries) {
        let told: Vec<String> = (0..engines)
            .map(|rank| format!("node{} {rank}/{engines} {cpus}", 1 + 2 * rank / engines))
            .collect();
        assert_eq!(*line, format!("DRIVER {}", told.join(", ")), "{start}");
    }
}

#[test]
fn engines_start_in_a_running_job_from_outside() {
    let lab = needed!(Lab::up(&["--nodes", "3"]));
    let driver = lab.script("driver.py", DRIVER);
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1", "-c4", "--time=20"],
        "echo here; exec tail -f /dev/null",
    );
    job.wait_line("here");
    let run = |start: &str| {
        let rest = format!(
            "-q --mode cluster-only -n 5 -- python3 {}",
            driver.display()
        );
        format!("{start} {rest}").replace("JOB", &job.id)
    };
    let told = "DRIVER node1 0/5 1, node1 1/5 1, node1 2/5 1, node2 3/5 1, node2 4/5 1";
    let ended = |host: &str| {
        // The job goes on: nothing has waited for Slurm to end what a slow stop left on the other node.
        let record = job.record().expect("a record");
        let life = record["incarnation"]["id"].as_str().expect("an id");
        wait_for("the end of all its processes", || {
            carriers(life).is_empty().then_some(())
        });
        let record = job.assert_nothing_left();
        assert_eq!(record["host"], host);
        assert_eq!(record["job"]["cluster"], "lab");
        assert_eq!(
            record["job"]["nodes"],
            serde_json::json!(["node1", "node2"])
        );
        assert!(record["job"]["deadline"].is_string(), "{record}");
    };
    // The first is told of its own node only; its engines have the whole job.
    for (start, host) in [
        ("srun --jobid=JOB --overlap -N1 -n1 ipjob", "node1"),
        ("ipjob --jobid JOB", "login"),
    ] {
        let done = lab.shell("alice", "login", &run(start));
        assert_eq!(done.code, 0, "{}", done.text);
        assert!(done.text.contains(told), "{}", done.text);
        ended(host);
    }
    // In another job, whose variables count no more.
    let other = lab.submit(&["-N1", "-n1"], &run("exec ipjob --jobid JOB"));
    let end = other.finish();
    assert_eq!(end.code, 0, "{}", end.output);
    assert!(end.output.contains(told), "{}", end.output);
    ended("node3");
    for (words, code, text) in [
        (
            "--jobid 99",
            5,
            "scontrol shows no nodes of job 99: it does not run here",
        ),
        (
            "--jobid 99 --launcher local",
            2,
            "--jobid works with one ipjob and --launcher srun only",
        ),
    ] {
        let done = lab.shell(
            "alice",
            "login",
            &format!("ipjob --mode cluster-only {words}"),
        );
        assert_eq!(done.code, code, "{}", done.text);
        assert!(done.text.contains(text), "{}", done.text);
    }
    the_jobs_end_is_that_of_its_engines(&lab, &job);
}

/// Slurm ends the job, and no signal reaches an ipjob outside of it. Here squeue answers only when nothing of the job is left.
fn the_jobs_end_is_that_of_its_engines(lab: &Lab, job: &SlurmJob) {
    let late = lab.script(
        "squeue",
        &format!(
            "#!/bin/bash\nsqueue=$(PATH=${{PATH#*:}} type -P squeue)\nif [[ $* == *PreemptTime* ]]; then\n\
             while [[ $($squeue --noheader --jobs={} 2>/dev/null) ]]; do :; done\nfi\nexec $squeue \"$@\"\n",
            job.id
        ),
    );
    let line = format!(
        "mkdir bin; mv {} bin; PATH=$PWD/bin:$PATH exec ipjob --jobid {} --mode cluster-only -n 4 --mpi none --detach --json",
        late.display(),
        job.id
    );
    let done = lab.shell("alice", "login", &line);
    assert_eq!(done.code, 0, "{}", done.text);
    job.scancel();
    let record = wait_for("the end", || {
        job.record().filter(|record| record["state"] == "ended")
    });
    assert_eq!(record["reason"], "Slurm ends the job", "{record}");
    assert_eq!(record["exit"], 0, "{record}");
    job.finish();
    job.assert_nothing_left();
}
