//! How long Slurm waits between its signal to a job that it ends and the kill (KillWait): asked once it ends this one.

use super::event::Event;
use super::notice::Notice;
use super::{Supervisor, file_thread, query};
use crate::here::site::programs;
use std::time::Duration;

/// How long Slurm's configuration is waited for while the job stops.
const LIMIT: Duration = Duration::from_secs(10);

/// So long before Slurm kills what is left, ipjob does: it has a record to write and files to remove.
const RESERVE: Duration = Duration::from_secs(2);

/// Whether such a line tells of a job that Slurm is ending.
pub fn is_ending(line: &str) -> bool {
    line.split_ascii_whitespace().next() == Some("COMPLETING")
}

/// Reads `KillWait                = 30 sec` of Slurm's configuration.
fn kill_wait(config: &str) -> Option<Duration> {
    let mut lines = config.lines().filter_map(|line| line.split_once('='));
    let (_, value) = lines.find(|(name, _)| name.trim() == "KillWait")?;
    let seconds = value.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl Supervisor<'_> {
    /// Slurm is ending the job: it is asked how long it waits before it kills.
    pub(super) fn slurm_ends(&mut self) {
        if !self.clock.slurm_ends() {
            return;
        }
        let sender = self.sender.clone();
        file_thread::spawn(async move {
            let Ok(scontrol) = programs::find("scontrol", "Slurm's client programs") else {
                return;
            };
            let args = ["show", "config"].map(str::to_owned).to_vec();
            let config = query::output(scontrol, args, Vec::new(), LIMIT).await;
            let wait = config.as_deref().and_then(kill_wait);
            if let Some(wait) = wait {
                let _ = sender.send(Notice::KillWait(wait));
            }
        });
    }

    /// So long after its signal Slurm kills the job: before that everything must have ended and the record be written.
    pub(super) fn slurm_kills_after(&self, wait: Duration) -> Event {
        let gone = self.clock.since_request();
        let reserve = RESERVE.min(wait / 4);
        Event::SlurmKillsIn(wait.saturating_sub(reserve + gone.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_patience_is_read_from_its_configuration() {
        let config = "Configuration data as of 2026-11-26T19:00:00\nKeepAliveTime           = SYSTEM_DEFAULT\nKillOnBadExit           = 0\nKillWait                = 30 sec\n";
        assert_eq!(kill_wait(config), Some(Duration::from_secs(30)));
        assert_eq!(kill_wait("KillWait = soon"), None);
        assert_eq!(kill_wait(""), None);
    }
}
