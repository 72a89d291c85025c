//! `--report`: everything that a support ticket needs, in one private file or on stdout, without secrets.

use super::secrets::REMOVED;
use super::{facts, jobs, logs, secrets};
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::run_program::ask;
use crate::here::site::identity;
use crate::plan::allocation::Allocation;
use crate::plan::slurm::Config;
use crate::report::output;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// As a file's name it means stdout.
pub const STDOUT: &str = "-";

/// Lines of `scontrol show config` that change what ipjob meets.
const CONFIG: [&str; 26] = [
    "CgroupPlugin",
    "ClusterName",
    "ConstrainRAMSpace",
    "JobContainerType",
    "JobRequeue",
    "KillOnBadExit",
    "KillWait",
    "LaunchParameters",
    "MpiDefault",
    "MpiParams",
    "NamespaceType",
    "OverTimeLimit",
    "PrologFlags",
    "ProctrackType",
    "PropagateResourceLimits",
    "ReturnToService",
    "SelectType",
    "SelectTypeParameters",
    "SLURM_VERSION",
    "SlurmctldParameters",
    "SlurmctldTimeout",
    "SlurmdTimeout",
    "SrunPortRange",
    "TaskPlugin",
    "TaskPluginParam",
    "UnkillableStepTimeout",
];

/// What of `scontrol show job` is told: of a comment or a command line (`SubmitLine`) nobody knows what stands in it.
const JOB: [&str; 44] = [
    "Account",
    "AllocTRES",
    "ArrayJobId",
    "ArrayTaskId",
    "BatchFlag",
    "BatchHost",
    "CPUs/Task",
    "CpusPerTres",
    "Deadline",
    "Dependency",
    "EndTime",
    "ExitCode",
    "Features",
    "HetJobId",
    "HetJobOffset",
    "JobId",
    "JobName",
    "JobState",
    "MemPerTres",
    "MinCPUsNode",
    "MinMemoryCPU",
    "MinMemoryNode",
    "NodeList",
    "NtasksPerN:B:S:C",
    "NumCPUs",
    "NumNodes",
    "NumTasks",
    "OOMKillStep",
    "OverSubscribe",
    "Partition",
    "QOS",
    "Reason",
    "ReqTRES",
    "Requeue",
    "Restarts",
    "RunTime",
    "StartTime",
    "StepMgrEnabled",
    "SubmitTime",
    "TRES",
    "TimeLimit",
    "TresPerNode",
    "TresPerTask",
    "WorkDir",
];

/// How long a program may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// What the doctor has seen and tried, and where.
pub struct Seen<'a> {
    /// The lines of its sheet.
    pub sheet: &'a [String],
    /// `ipengine`.
    pub ipengine: Option<&'a Path>,
    /// What Slurm is set to.
    pub config: Option<&'a Config>,
    /// What ipjob would run on.
    pub allocation: &'a Allocation,
    /// The variables.
    pub environment: &'a [(String, String)],
    /// Where profiles are.
    pub ipython_dir: &'a Path,
}

/// Writes the report and tells where; nowhere where it goes to stdout.
pub fn write(path: &Path, seen: &Seen) -> Outcome<Option<PathBuf>> {
    let text = secrets::remove(&text(seen), seen.environment);
    if path.as_os_str() == STDOUT {
        output::data(text.as_bytes())?;
        return Ok(None);
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    files::replace(&path, text.as_bytes()).map_err(|error| {
        Failure::missing(format!("the report {} cannot be written", path.display()))
            .because(error)
            .hint("give another path with --report=FILE, or --report=- for stdout")
    })?;
    Ok(Some(path))
}

/// All parts, each below a line with its title.
fn text(seen: &Seen) -> String {
    let mut text = String::new();
    let mut part = |title: &str, lines: &[String]| {
        let body = lines.join("\n");
        let _ = writeln!(text, "==== {title}\n{}\n", body.trim_end());
    };
    let head = [
        format!("{} on {}", jiff::Timestamp::now(), identity::host()),
        format!(
            "{REMOVED} replaces what looked like a secret. Read it before you send it: logs hold what your code printed."
        ),
    ];
    part("ipjob doctor --report", &head);
    part("versions", &facts::versions(seen.ipengine));
    part("seen and tried", seen.sheet);
    let (site, others): (Vec<_>, Vec<_>) = seen
        .environment
        .iter()
        .cloned()
        .partition(|(name, _)| secrets::is_of_the_site(name));
    part(
        "defaults of ipjob, sbatch, salloc and srun",
        &secrets::environment(&site),
    );
    part(
        "other variables (only the names of those that are not known to be harmless)",
        &secrets::environment(&others),
    );
    let places =
        ["HOME", "SCRATCH", "TMPDIR"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let mut places: Vec<PathBuf> = places.into_iter().flatten().collect();
    places.extend([
        seen.ipython_dir.to_owned(),
        "/tmp".into(),
        "/dev/shm".into(),
    ]);
    places.dedup();
    part("limits", &facts::limits(&places));
    part("configuration of Slurm", &[configuration(seen.config)]);
    if let Some(job) = &seen.allocation.job {
        let shown = ask(
            Command::new("scontrol").args(["show", "job", job.name()]),
            LIMIT,
        );
        part("this job", &of_job(&shown.output));
    }
    let profiles = jobs::last(seen.ipython_dir);
    let none = [format!("none below {}", seen.ipython_dir.display())];
    let states = logs::clean(&jobs::states(&profiles).join("\n"));
    part("last jobs", if states.is_empty() { &none } else { &states });
    if let Some(last) = profiles.first() {
        let record = jobs::record(last).unwrap_or_else(|fault| fault);
        part(
            &format!("record of {}", last.display()),
            &logs::clean(&record),
        );
        for (name, tail) in logs::tails(&last.join("log")) {
            part(&format!("last lines of {name}"), &[tail]);
        }
    }
    text
}

/// What `scontrol show job` says, of what may be told.
fn of_job(told: &str) -> Vec<String> {
    let words = told.split_whitespace().filter(|word| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| JOB.contains(&name))
    });
    words.map(str::to_owned).collect()
}

fn configuration(config: Option<&Config>) -> String {
    let Some(config) = config else {
        return "no answer from `scontrol show config`".to_owned();
    };
    let wanted = config.lines().filter(|(name, _)| CONFIG.contains(name));
    let lines: Vec<String> = wanted
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_job_only_what_is_known_is_told() {
        let told = "JobId=7 JobName=wrap\n   UserId=ada(1000) Comment=pw=hunter2\n   SubmitLine=sbatch --export=TOKEN=hunter3 --wrap x\n   NodeList=n[1-2]\n   TRES=cpu=4,mem=8G\n";
        let lines = of_job(told);
        assert_eq!(
            lines,
            [
                "JobId=7",
                "JobName=wrap",
                "NodeList=n[1-2]",
                "TRES=cpu=4,mem=8G"
            ]
        );
    }
}
