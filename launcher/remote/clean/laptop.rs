//! What a killed `ipjob connect` left on this machine: the local profile of a job.

use super::super::connect::profile::{self, clean, is_abandoned};
use super::super::target::Job;
use crate::report::output;
use std::path::{Path, PathBuf};

/// A profile that a connect made here.
pub struct LocalProfile {
    dir: PathBuf,
    name: String,
}

/// Those of one job, or all.
pub fn find(ipython_dir: &Path, wanted: Option<&Job>) -> Vec<LocalProfile> {
    let is_wanted = |name: &str| match wanted {
        None => true,
        Some(Job::Profile(profile)) => {
            name == profile.as_str() || name == profile.beside().as_str()
        }
        Some(job) => ["job_", "connect_"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix) == Some(job.as_str())),
    };
    profile::all(ipython_dir)
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, dir)| LocalProfile { dir, name })
        .collect()
}

/// Removes it, or only names it; else tells what was kept and why.
pub fn remove(profile: &LocalProfile, dry_run: bool) -> Result<(), String> {
    let path = profile.dir.display();
    if !is_abandoned(&profile.dir) {
        return Err(format!(
            "{path}: used by an `ipjob connect` that is running"
        ));
    }
    if dry_run {
        output::line(&format!("would remove {path}"));
        return Ok(());
    }
    clean(&profile.dir, &profile.name).map_err(|failure| failure.to_string())?;
    output::line(&format!("removed {path}"));
    Ok(())
}
