//! The jobs that were last run here, as their records tell, without their secrets.

use crate::here::os::secure_path;
use crate::record::Record;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// So many of the last jobs are told.
const MOST: usize = 10;

/// The profiles of ours that have a record, the youngest first.
pub fn last(ipython_dir: &Path) -> Vec<PathBuf> {
    let written = |profile: &PathBuf| -> Option<SystemTime> {
        fs::metadata(profile.join("ipjob.json"))
            .ok()?
            .modified()
            .ok()
    };
    let entries = fs::read_dir(ipython_dir).into_iter().flatten().flatten();
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((written(&entry.path())?, entry.path())))
        .filter(|(_, profile)| secure_path::own(profile).is_ok())
        .collect();
    found.sort();
    found
        .into_iter()
        .rev()
        .take(MOST)
        .map(|(_, profile)| profile)
        .collect()
}

/// How each job is or has ended, a line each.
pub fn states(profiles: &[PathBuf]) -> Vec<String> {
    profiles.iter().map(|profile| state(profile)).collect()
}

fn state(profile: &Path) -> String {
    let name = profile.file_name().unwrap_or_default().to_string_lossy();
    let record = match read(profile) {
        Ok(record) => record,
        Err(fault) => return format!("{name}: {fault}"),
    };
    let mut told = vec![
        record
            .state
            .map_or("in an unknown state", |state| state.word())
            .to_owned(),
    ];
    if record.is_stale(jiff::Timestamp::now()) && !record.has_ended() {
        told.push("not written for a long time".to_owned());
    }
    if let Some(exit) = *record.exit {
        told.push(format!("exit code {exit}"));
    }
    let count = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    told.push(format!(
        "{} of {} engines",
        count(*record.engines.registered),
        count(*record.engines.expected)
    ));
    for (word, time) in [
        ("started", &record.started),
        ("last written", &record.updated),
    ] {
        if let Some(time) = time.as_ref() {
            told.push(format!("{word} {}", time.0));
        }
    }
    told.extend(record.reason.as_deref().map(str::to_owned));
    format!("{name}: {}", told.join(", "))
}

/// All of a job's record but its token and the address that has it in it. Only fields of records are read, and those that this version knows.
pub fn record(profile: &Path) -> Result<String, String> {
    let record = read(profile)?;
    let faults = record.faults.join(", ");
    let mut value = serde_json::to_value(&record).map_err(|error| error.to_string())?;
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !["token", "url"].contains(&name.as_str()));
    }
    let text = format!("{value:#}");
    Ok(match faults.as_str() {
        "" => text,
        faults => format!("{text}\nfields that have no value that could be one: {faults}"),
    })
}

fn read(profile: &Path) -> Result<Record, String> {
    let bytes = fs::read(profile.join("ipjob.json")).map_err(|error| error.to_string())?;
    Record::read(&bytes)
}
