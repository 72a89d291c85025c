//! Memory runs out in a job that Slurm constrains: whose end it was, where, and what the limit is.

use crate::support::lab::{ALICE, SlurmJob, is_newer};
use crate::support::{Lab, wait_for};
use serde_json::{Value, json};

/// A site where one task that is short of memory ends its whole step, which 22.05 does not know.
const OOM_KILL_STEP: [&str; 2] = ["--slurm-conf", "TaskPluginParam=OOMKillStep"];

/// What an engine does that needs more than there is.
const GREEDY: &str = "hoard = [bytearray(b'x') * (16 << 20) for _ in range(200)]";

/// Has one engine take more memory than the job has.
fn hoard(lab: &Lab, job: &SlurmJob, engine: u32) {
    let code = format!(
        "import ipyparallel as ipp\nrc = ipp.Client(profile='job_{}', timeout=30)\ntry:\n    rc[{engine}].execute({GREEDY:?}).get(100)\nexcept Exception as error:\n    print('lost:', error)",
        job.id
    );
    let output = lab
        .on(ALICE, "login")
        .args(["python3", "-c", &code])
        .output();
    let output = output.expect("lab runs");
    assert!(output.stdout.starts_with(b"lost: "), "{output:?}");
}

/// The record once engine 3 is missing, and a warning that begins so.
fn wait_told(job: &SlurmJob, begin: &str) -> String {
    wait_for(&format!("the warning {begin:?}"), || {
        let record = job.record()?;
        assert_ne!(record["state"], "ended", "{}", job.output());
        let warnings = record["warnings"].as_array()?.iter();
        let mut texts = warnings.filter_map(Value::as_str);
        let told = texts.find(|text| text.starts_with(begin))?.to_owned();
        (record["engines"]["missing"] == json!([3])).then_some(told)
    })
}

#[test]
fn an_engine_of_the_other_node_that_took_too_much_is_told_with_rank_node_and_limit() {
    let options = [&["--constrain", "memory"], OOM_KILL_STEP.as_slice()].concat();
    let options = if is_newer() { &options } else { &options[..2] };
    let lab = needed!(Lab::up(options));
    let options = ["-N2", "--ntasks-per-node=2", "--mem=600"];
    // As in each job of such a site.
    let site = "export SLURM_OOM_KILL_STEP=1\nexec ipjob --mode cluster-only --mpi none";
    let job = lab.submit(&options, site);
    let record = job.wait_state("ready");
    let pid = &record["engines"]["list"][3]["pid"];
    hoard(&lab, &job, 3);
    let whose = format!(
        "engine 3 (rank 3 on node2, pid {pid}) ended after Slurm counted an out-of-memory kill there (the memory limit is 600 MiB)"
    );
    let told = wait_told(&job, &whose);
    assert!(told.contains("ask Slurm for more memory"), "{told}");
    job.cancel();

    // In an MPI world it is the end of all, and the reason in the record.
    let job = lab.submit(&options, "exec ipjob --mode cluster-only");
    job.wait_state("ready");
    hoard(&lab, &job, 3);
    let ended = job.finish();
    assert_eq!(ended.code, 1, "{}", ended.output);
    let record = job.assert_nothing_left();
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.contains("the memory limit is 600 MiB"), "{reason}");

    // A rank of the launcher `ranks` looks at its own node's count.
    // There it is the user who starts the step.
    let body = "export SLURM_OOM_KILL_STEP=0\ntrap : TERM\nsrun -n 4 ipjob --mode cluster-only --mpi none & wait; wait";
    let job = lab.submit(&options, body);
    let record = job.wait_state("ready");
    let pid = &record["engines"]["list"][3]["pid"];
    hoard(&lab, &job, 3);
    let whose = format!(
        "engine 3 (pid {pid}): the kernel's out-of-memory killer ended it on node2, where the memory limit is 600 MiB"
    );
    wait_told(&job, &whose);
    job.cancel();
}
