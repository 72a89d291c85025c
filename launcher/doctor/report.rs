//! `--report`: everything that a support ticket needs, in one private file without secrets.

use super::secrets;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::run_program::ask;
use crate::here::os::secure_path;
use crate::here::site::identity;
use crate::plan::allocation::Allocation;
use crate::plan::slurm::Config;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

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

/// Lines of each log that are kept.
const TAIL: usize = 60;

/// How long a program may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Writes the report and tells where.
pub fn write(
    path: &Path,
    sheet: &[String],
    config: Option<&Config>,
    allocation: &Allocation,
    environment: &[(String, String)],
    ipython_dir: &Path,
) -> Outcome<PathBuf> {
    let mut text = String::new();
    let mut part = |title: &str, body: &str| {
        let _ = writeln!(text, "==== {title}\n{}\n", body.trim_end());
    };
    part(
        "ipjob",
        &format!(
            "version {}, host {}, {}",
            env!("CARGO_PKG_VERSION"),
            identity::host(),
            jiff::Timestamp::now()
        ),
    );
    part("doctor", &sheet.join("\n"));
    part("environment", &secrets::environment(environment).join("\n"));
    part("slurm configuration", &configuration(config));
    if let Some(job) = &allocation.job {
        let shown = ask(
            Command::new("scontrol").args(["show", "job", job.name()]),
            LIMIT,
        );
        part("job", &format!("{}{}", shown.output, shown.errors));
    }
    match last_profile(ipython_dir) {
        Some(profile) => {
            let record = fs::read_to_string(profile.join("ipjob.json")).unwrap_or_default();
            part(
                &format!("record of {}", profile.display()),
                &without_token(&record),
            );
            for (name, tail) in log_tails(&profile.join("log")) {
                part(&format!("last lines of {name}"), &tail);
            }
        }
        None => part("record", &format!("none below {}", ipython_dir.display())),
    }
    let text = secrets::remove(&text, environment);
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    files::replace(&path, text.as_bytes()).map_err(|error| {
        Failure::missing(format!("the report {} cannot be written", path.display()))
            .because(error)
            .hint("give another path with --report=FILE")
    })?;
    Ok(path)
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

/// The profile of ours with the youngest record.
fn last_profile(ipython_dir: &Path) -> Option<PathBuf> {
    let written = |profile: &PathBuf| -> Option<SystemTime> {
        fs::metadata(profile.join("ipjob.json"))
            .ok()?
            .modified()
            .ok()
    };
    fs::read_dir(ipython_dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|profile| written(profile).is_some() && secure_path::own(profile).is_ok())
        .max_by_key(written)
}

/// The record with its secrets removed by name, whatever they look like.
fn without_token(record: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(record) else {
        return "it cannot be read".to_owned();
    };
    for name in ["token", "url"] {
        if let Some(secret) = value.get_mut(name).filter(|secret| !secret.is_null()) {
            *secret = "<removed>".into();
        }
    }
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

/// The ends of all logs of a directory, by their names.
fn log_tails(dir: &Path) -> Vec<(String, String)> {
    let mut logs: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort();
    logs.iter()
        .map(|path| {
            let text = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(TAIL);
            (path.display().to_string(), lines[from..].join("\n"))
        })
        .collect()
}
