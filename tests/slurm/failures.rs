//! A broken world inside a job.

use crate::support::{Lab, carriers, wait_for};

#[test]
fn what_cannot_start_is_refused_by_name() {
    let lab = needed!(Lab::up(&[]));
    let run = "exec ipjob --mode cluster-only";
    let venv = "PATH=${PATH%%:*}:$(dirname $(command -v ipjob)):/tmp/tools\nmkdir -p /tmp/tools\nln -sf /usr/bin/{getent,env,scancel,python3} /tmp/tools";
    let no_srun = lab.submit(&["-n1"], &format!("{venv}\n{run}"));
    let many = lab.submit(&["-n2"], &format!("{run} -n 5"));
    let garbage = lab.submit(&["-n1"], &format!("export SLURM_NTASKS=lots\n{run}"));
    let nodes = lab.submit(
        &["-n1"],
        &format!("export SLURM_JOB_NODELIST='node[1-'\n{run}"),
    );
    let one = lab.submit(&["-n1"], &format!("{run} --respawn engine"));
    let set = lab.submit(&["-n1"], &format!("{run} --respawn set --mpi none"));
    for (job, code, text) in [
        (one, 2, "--respawn engine does not work for one MPI world"),
        (
            set,
            2,
            "--respawn set is for engines that form one MPI world",
        ),
        (no_srun, 4, "srun"),
        (
            many,
            2,
            "-n 5 asks for more engines than the job has room for: it has 2 CPUs",
        ),
        (garbage, 4, "the variable SLURM_NTASKS has \"lots\""),
        (nodes, 4, "node[1-"),
    ] {
        let ended = job.finish();
        assert_eq!(ended.code, code, "{}", ended.output);
        assert!(ended.output.contains(text), "{}", ended.output);
        assert!(!job.profile("").exists(), "a profile was made for nothing");
    }
}

#[test]
fn a_node_without_ipengine_is_named() {
    let lab = needed!(Lab::up(&[]));
    // A program on the first node's own disk, as with a module that was loaded there alone.
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "mkdir -p /tmp/bin\nln -s $(command -v ipengine) /tmp/bin/ipengine\nPATH=/tmp/bin:$PATH exec ipjob --mode cluster-only --mpi none",
    );
    let ended = job.finish();
    assert_eq!(ended.code, 3, "{}", ended.output);
    let cause = "srun: error: node2: task 1: Exited with exit code 4";
    assert!(ended.output.contains(cause), "{}", ended.output);
    let line = "1: error: /tmp/bin/ipengine cannot be run on node2";
    assert!(ended.output.contains(line), "{}", ended.output);
    job.assert_nothing_left();
}

#[test]
fn a_killed_srun_and_a_killed_ipjob_leave_nothing() {
    let lab = needed!(Lab::up(&[]));
    let options = ["-N2", "--ntasks-per-node=1"];
    let without_srun = lab.submit(&options, "exec ipjob --mode cluster-only --mpi none");
    let killed = lab.submit(&options, "exec ipjob --mode notebook --mpi none");
    let id = |record: &serde_json::Value| {
        record["incarnation"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };

    let record = without_srun.wait_state("ready");
    let srun: Vec<u32> = carriers(&id(&record))
        .into_iter()
        .filter(|(_, line)| line.starts_with("/usr/bin/srun"))
        .map(|(pid, _)| pid)
        .collect();
    assert!(!srun.is_empty(), "no srun");
    for pid in srun {
        kill(pid);
    }
    let ended = without_srun.finish();
    assert_eq!(ended.code, 1, "{}", ended.output);
    let text = "ended with signal 9 (SIGKILL)";
    assert!(ended.output.contains(text), "{}", ended.output);
    without_srun.assert_nothing_left();

    let record = killed.wait_state("ready");
    let ours = id(&record);
    assert!(carriers(&ours).len() > 5);
    lab.kill("node1", &record["incarnation"]["pid"]);
    let ended = killed.finish();
    assert_eq!(ended.state, "FAILED", "{}", ended.output);
    wait_for("the end of all that was started", || {
        carriers(&ours).is_empty().then_some(())
    });
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    // The second of srun's two processes goes with the first.
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}
