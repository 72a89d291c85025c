//! The file system that the profile lies on is away for a while: unmounted, full, or silent. Nothing ends because of that; what
//! needs files waits for them, and the stop does not.
//!
//! docs/design/outage.md explains the design.

use super::Supervisor;
use super::event::Event;
use super::notice::Notice;
use crate::here::os::files;
use crate::here::os::own_time::OwnTime;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::directory;
use crate::plan::Plan;
use crate::plan::name::Unit;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Between two looks whether it is back.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last record is waited for at the least, also when the stop has used up its time.
const LEAST_CLOSE: Duration = Duration::from_secs(2);

/// Whether files can be written where logs are, as far as that was looked at. With many engines to start again one look is enough.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<(OwnTime, String)>);

impl Outage {
    /// What keeps files from being written there.
    pub fn look(&mut self, plan: &Plan) -> Option<String> {
        let fresh = |(seen, _): &(OwnTime, String)| seen.elapsed() < PAUSE / 2;
        if !self.0.as_ref().is_some_and(fresh) {
            self.0 = why_not(&plan.profile.log_dir()).map(|why| (OwnTime::now(), why));
        }
        self.0.as_ref().map(|(_, why)| why.clone())
    }
}

/// What keeps files from being written in this directory.
fn why_not(logs: &Path) -> Option<String> {
    let place = logs.to_owned();
    let why = match within(LOOK, move || files::try_to_write(&place)) {
        Some(Ok(())) => return None,
        Some(Err(error)) => error.to_string(),
        None => "it does not answer".to_owned(),
    };
    Some(format!(
        "nothing can be written in {}: {why}",
        logs.display()
    ))
}

impl Supervisor<'_> {
    /// A unit is not started now. A try that must fail would use up one of the few that there are, and one that hangs would hold up
    /// everything else.
    pub(super) fn put_on_hold(&self, unit: Unit, why: String) {
        let event = Event::OnHold { unit, why };
        let _ = self.sender.send(Notice::Event(event));
    }

    /// The stop begins: what lets others in goes first, so that who is killed half way leaves no key. Slurm kills a step, with all that runs in
    /// it, as soon as its last task has ended.
    pub(super) fn shut(&mut self) {
        if std::mem::replace(&mut self.kept.shut, true) || !self.tenure.is_ours() {
            return;
        }
        self.publisher.edit().forget_secrets();
        let (profile, key) = (self.plan.profile.clone(), self.plan.secrets.key.clone());
        let files = self.connection_files();
        self.publisher.tidy(move || {
            if let Some(files) = files {
                files.close_and_wait();
            }
            directory::shut(&profile, key.reveal());
        });
    }

    /// No connection file, no secret, and the last record: waited for as long as the stop has time. Tells whether that was enough.
    pub(super) fn write_last(&mut self) -> bool {
        let begun = self.children.first_asked();
        let limit = self
            .plan
            .settings
            .stop
            .saturating_sub(begun.unwrap_or_default())
            .max(LEAST_CLOSE);
        let (profile, key) = (self.plan.profile.clone(), self.plan.secrets.key.clone());
        let files = self.connection_files();
        let tidy = move || {
            await_return(&profile.dir, limit);
            if let Some(files) = files {
                files.close_and_wait();
            }
            directory::clear(&profile, key.reveal());
        };
        let Some(written) = self.publisher.close(&self.machine, tidy, limit) else {
            self.console.warning(&format!(
                "the last record cannot be written: {} has not answered for {} s; connection files may be left there",
                self.plan.profile.dir.display(),
                limit.as_secs()
            ));
            return false;
        };
        self.record_written(Duration::ZERO, written);
        true
    }
}

/// Waits until a directory that has gone with all above it is there again, but less than `limit`: what has secrets is to be removed.
fn await_return(directory: &Path, limit: Duration) {
    let begin = OwnTime::now();
    let away = || {
        let above = directory.parent().unwrap_or(directory);
        fs::metadata(directory).is_err() && fs::metadata(above).is_err()
    };
    while away() && begin.elapsed() + PAUSE < limit {
        thread::sleep(PAUSE / 10);
    }
}
