//! The file system that the profile lies on is away for a while: unmounted, full, or silent. Nothing ends because of that; what
//! needs files waits for them, and the stop does not.
//!
//! docs/design/outage.md explains the design.

use super::Supervisor;
use super::event::{Effect, End, Event, Level, Stage, Timer};
use super::notice::Notice;
use super::timers;
use crate::here::os::files;
use crate::here::os::own_time::OwnTime;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::directory;
use crate::plan::name::Unit;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Between two looks whether it is back.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last record is waited for at the least, also when the stop has used up its time.
const LEAST_CLOSE: Duration = Duration::from_secs(2);

/// What waits until files can be written again.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Effect>);

impl Held {
    /// It is carried out once that is possible.
    pub fn keep(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// Whether a limit is that of a start that is kept: it runs from the start, not from the outage on.
    pub fn has(&self, timer: Timer) -> bool {
        self.0.iter().any(|effect| match (effect, timer) {
            (
                Effect::Start { unit: held, .. },
                Timer::Stage {
                    unit,
                    stage: Stage::Starting,
                    ..
                },
            ) => *held == unit,
            _ => false,
        })
    }

    /// Takes out what would start a unit, or a part of it.
    fn let_go(&mut self, whole: Unit) -> Vec<Unit> {
        let is_it = |unit: &Unit| whole.has(*unit);
        let gone = self.0.iter().filter_map(unit_of).filter(is_it).collect();
        self.0
            .retain(|effect| !unit_of(effect).is_some_and(|unit| is_it(&unit)));
        gone
    }
}

impl Supervisor<'_> {
    /// Whether something is not to be started now, because it could not write its log: then it is kept, and started once it can. A try
    /// that must fail would use up one of the few that there are, and one that hangs would hold up everything else.
    pub(super) fn holds(&mut self, effect: &Effect) -> bool {
        if let Some(why) = self.outage() {
            if self.held.0.is_empty() {
                self.say(
                    Level::Warning,
                    format!("{why}; restarts are on hold until the file system recovers"),
                );
                timers::once(PAUSE, Notice::HeldAreDue, self.sender.clone());
            }
            self.held.keep(effect.clone());
            return true;
        }
        false
    }

    /// Starts what was kept, once that is possible.
    pub(super) fn carry_out_held(&mut self) -> Option<End> {
        if self.held.0.is_empty() {
            return None;
        }
        if self.outage().is_some() {
            timers::once(PAUSE, Notice::HeldAreDue, self.sender.clone());
            return None;
        }
        let held = std::mem::take(&mut self.held.0);
        held.into_iter().find_map(|effect| self.carry_out(effect))
    }

    /// What keeps files from being written where logs are.
    fn outage(&self) -> Option<String> {
        let logs = self.plan.profile.log_dir();
        let why = match within(LOOK, {
            let logs = logs.clone();
            move || files::try_to_write(&logs)
        }) {
            Some(Ok(())) => return None,
            Some(Err(error)) => error.to_string(),
            None => "it does not answer".to_owned(),
        };
        Some(format!(
            "nothing can be written in {}: {why}",
            logs.display()
        ))
    }

    /// What is kept of a unit is not started any more: the machine is told so.
    pub(super) fn let_go(&mut self, unit: Unit) {
        for unit in self.held.let_go(unit) {
            let event = Event::NeverStarted(unit);
            let _ = self.sender.send(Notice::Event(event));
        }
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

/// What is to be started.
fn unit_of(effect: &Effect) -> Option<Unit> {
    match effect {
        Effect::Start { unit, .. } => Some(*unit),
        _ => None,
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
