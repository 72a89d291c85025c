//! Looking at processes that do not end, or take long to start. What is said is what /proc shows, and no more.

use super::Supervisor;
use super::event::{Event, Level};
use super::notice::Notice;
use crate::here::os::{process, stray_processes};
use crate::plan::name::{Name, Unit};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Looks at a start that is late.
const LOOKS: u32 = 10;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// At so many looks it must be seen at work: processes that only wait have to beat now and then.
const ENOUGH: u32 = 3;

/// Processes that are named, of many.
const NAMED: usize = 3;

impl Supervisor<'_> {
    /// Says which processes of a service, or of the whole job, SIGKILL has not ended.
    pub(super) fn say_what_lives(&mut self, service: Option<Name>, then: &str) {
        let incarnation = &self.plan.incarnation.id;
        let mut pids: BTreeSet<u32> = stray_processes::carrying(incarnation)
            .into_iter()
            .filter(|(_, label)| service.is_none_or(|name| label.as_deref() == Some(name.word())))
            .map(|(leftover, _)| leftover.pid)
            .collect();
        match service {
            Some(name) => pids.extend(self.children.unreaped(name)),
            None => pids.extend(
                stray_processes::descendants()
                    .into_iter()
                    .map(|left| left.pid),
            ),
        }
        let living: Vec<String> = pids.into_iter().filter_map(described).collect();
        let of = service.map(|name| format!("{name}: ")).unwrap_or_default();
        let text = match (living.len(), service) {
            // Here it has ended meanwhile; what other nodes have is known by their words alone.
            (0, Some(name)) if self.children.of(name).next().is_none() => {
                format!(
                    "{of}nothing of it runs on this node any more, but its end has not been reported; {then}"
                )
            }
            (0, _) => return,
            (all, _) => {
                let rest = all.saturating_sub(NAMED);
                let more = if rest > 0 {
                    format!(" and {rest} more")
                } else {
                    String::new()
                };
                let named: Vec<String> = living.into_iter().take(NAMED).collect();
                format!(
                    "{of}SIGKILL has not ended {}{more}; {then}",
                    named.join(", ")
                )
            }
        };
        self.say(Level::Warning, text);
    }

    /// Looks whether a start that is late makes progress; what was seen comes as an event.
    pub(super) fn look_for_progress(&self, unit: Unit, generation: u32) {
        let running = self.children.running.iter();
        let roots: Vec<u32> = running
            .filter(|(_, (part, _))| unit.has(*part))
            .map(|(pid, _)| *pid)
            .collect();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let mut at_work = 0;
            for _ in 0..LOOKS {
                at_work += u32::from(roots.iter().any(|pid| is_at_work(*pid)));
                sleep(PAUSE).await;
            }
            let seen = (at_work >= ENOUGH).then(|| {
                format!("at {at_work} of {LOOKS} looks its processes were running or waiting for a CPU (R), or in uninterruptible sleep (D)")
            });
            let _ = sender.send(Notice::Event(Event::Progress {
                unit,
                generation,
                seen,
            }));
        });
    }
}

/// Whether a process, or one that it has started, has something to do.
fn is_at_work(pid: u32) -> bool {
    let mut all = process::descendants(pid);
    all.insert(pid);
    all.into_iter()
        .any(|pid| matches!(process::living_state(pid), Some('R' | 'D')))
}

/// A process that has not ended: `pid 7 (python3), which is in uninterruptible sleep (D)`.
fn described(pid: u32) -> Option<String> {
    let state = process::living_state(pid)?;
    let words = match state {
        'R' => "running or waiting for a CPU",
        'D' => "in uninterruptible sleep",
        'T' | 't' => "stopped",
        _ => "asleep",
    };
    let name = process::name(pid);
    Some(format!("pid {pid} ({name}), which is {words} ({state})"))
}
