//! What slurmstepd writes into the log of its step, by way of a task's stderr. PURE.

/// A line of slurmstepd's that tells of an end, or of what leads to one. `0: slurmstepd-node1: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15 ***`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The number of the step, where it names it: a task may run steps of its own, whose lines come among its own.
    pub step: Option<u64>,
    /// What it tells.
    pub what: What,
}

/// What such a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The kernel has killed for want of memory.
    OutOfMemory,
    /// Somebody cancelled the step: `scancel JOB.STEP`, or the job's end.
    Cancelled,
    /// Its side of PMI could not read what the MPI library of a task asked of it.
    BadRequest,
    /// Slurm itself ended it: `DUE TO TIME LIMIT`, `PREEMPTION`, `JOB REQUEUE`, `NODE FAILURE`.
    Ended,
    /// Slurm itself ended it because of the end of one of its tasks: `DUE TO TASK FAILURE`.
    EndedForTask,
}

impl Told {
    /// Reads a line, with or without srun's label.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let error = error(line.trim())?;
        if error.starts_with("mpi/pmi2: ") && error.ends_with(" in client request")
            || error.ends_with("invalid client request")
        {
            return Some(Self {
                step: None,
                what: What::BadRequest,
            });
        }
        if let Some(counted) = error.strip_prefix("Detected ") {
            // `1 oom-kill event(s) in StepId=4.0. Some of ...` (22.05), `1 oom_kill event in StepId=4.0. Some of ...` (24.11).
            let (count, rest) = counted.split_once(" oom")?;
            let (event, rest) = rest.split_once(" in StepId=")?;
            let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
            let is_kill = event.starts_with("-kill event") || event.starts_with("_kill event");
            let id = rest.split(' ').next()?.trim_end_matches('.');
            return (is_count && is_kill).then_some(Self {
                step: Some(number(id)?),
                what: What::OutOfMemory,
            });
        }
        let ended = error.strip_prefix("*** STEP ")?.strip_suffix(" ***")?;
        let (step, how) = ended.split_once(" CANCELLED AT ")?;
        // From 26.05 on `scancel` has a reason as well: `DUE to SIGNAL Killed`.
        let what = match how.split_once(' ') {
            None => What::Cancelled,
            Some((_, reason)) if reason.starts_with("DUE to SIGNAL ") => What::Cancelled,
            Some((_, "DUE TO TASK FAILURE")) => What::EndedForTask,
            Some(_) => What::Ended,
        };
        Some(Self {
            step: Some(number(step.split(' ').next()?)?),
            what,
        })
    }
}

/// What follows on `slurmstepd: error: `, `slurmstepd-node1: error: ` or, from 26.05 on, `[2026-11-27T05:03:38.831] error: `.
fn error(text: &str) -> Option<&str> {
    let text = match text.split_once(": ") {
        Some((label, rest)) if label.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => text,
    };
    let (who, error) = text.split_once(" error: ")?;
    let is_name = who.starts_with("slurmstepd") && who.ends_with(':') && !who.contains(' ');
    // The site chooses how times are written (`LogTimeFormat`).
    let time = who
        .strip_prefix('[')
        .and_then(|time| time.strip_suffix(']'));
    let is_time = time.is_some_and(|time| {
        time.starts_with(|char: char| char.is_ascii_alphanumeric()) && !time.contains(['[', ']'])
    });
    (is_name || is_time).then_some(error)
}

/// The step's number of `4.0` or, of a heterogeneous job, `4+1.0`.
fn number(id: &str) -> Option<u64> {
    let (job, step) = id.rsplit_once('.')?;
    let is_job = job
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'+');
    if job.is_empty() || !is_job {
        return None;
    }
    step.parse().ok()
}
