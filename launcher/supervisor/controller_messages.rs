//! What the controller and ipjob tell each other on the controller's standard input (`controller/messages.py`). To us: which of
//! the sockets that it was handed it has taken, that it has written the list of its engines, and that a client has asked an engine or the hub to end; nothing else tells such an
//! end from a death: an engine ends with exit code 1 after both; and that a client sends a signal to an engine that has no nanny. To the hub: which
//! engines have ended, which it would find out by their silence, and what has become of a signal.
//!
//! docs/design/ends.md explains the design.

use super::Supervisor;
use super::event::{Asked, End, Event};
use super::notice::{Notice, Signalling};
use crate::plan::engine_list::EngineList;
use crate::plan::name::Unit;
use nix::sys::signal::Signal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The hub has written the list of its engines.
const LISTED: &str = "engines listed";

/// The hub drops the engines of which we tell it that they have ended: its ipyparallel is known.
const HEARS: &str = "hears ends";

/// The hub, as far as it is told of ends.
#[derive(Debug, Default)]
pub(super) struct Hub {
    /// Engines without a nanny that were to have one: ipjob sends them the signals that clients send.
    without_nanny: BTreeSet<u32>,
    /// What reaches the controller that was started last; none where it hears nothing.
    lines: Option<UnboundedSender<String>>,
    /// What the hub calls our engines, by their ids: the first that it listed under an id since that engine was started.
    names: BTreeMap<u32, String>,
    /// It has written the list of its engines.
    pub listed: Arc<Notify>,
}

/// What the hub is told, as one line of JSON: `{"ended": {"3": "the name that it has in the hub"}}`, with `null` for one that was never
/// listed.
#[derive(Debug, Serialize)]
struct Ended<'a> {
    ended: BTreeMap<u32, Option<&'a str>>,
}

/// Which engines have no nanny although they were to have one, as one line of JSON: `{"without nanny": [3]}`.
#[derive(Debug, Serialize)]
struct WithoutNanny<'a> {
    #[serde(rename = "without nanny")]
    without_nanny: &'a BTreeSet<u32>,
}

/// What has become of signals, as one line of JSON: `{"signalled": {"17": null}}`, or why one was not sent.
#[derive(Debug, Serialize)]
struct Signalled {
    signalled: BTreeMap<u64, Option<String>>,
}

impl Hub {
    /// The hub lists these engines: so many of them may be ours.
    pub fn lists(&mut self, list: &EngineList, ours: u32) {
        for (id, name) in list.names(ours) {
            self.names.entry(id).or_insert_with(|| name.to_owned());
        }
    }

    /// An engine starts again, under another name.
    pub fn forget(&mut self, engine: u32) {
        self.names.remove(&engine);
    }

    /// All do.
    pub fn forget_all(&mut self) {
        self.names.clear();
    }

    /// These engines start without a nanny, which they were to have.
    pub fn lack_nannies(&mut self, engines: impl IntoIterator<Item = u32>) {
        let before = self.without_nanny.len();
        self.without_nanny.extend(engines);
        if self.without_nanny.len() > before {
            self.tell_of_nannies();
        }
    }

    /// Tells of them, as far as there are any.
    fn tell_of_nannies(&self) {
        let without_nanny = &self.without_nanny;
        if !without_nanny.is_empty() {
            self.tell(&WithoutNanny { without_nanny });
        }
    }

    /// What tells these ends.
    fn ended(&self, engines: &[u32]) -> Ended<'_> {
        let name = |id: &u32| (*id, self.names.get(id).map(String::as_str));
        Ended {
            ended: engines.iter().map(name).collect(),
        }
    }

    /// Tells it something, as one line.
    fn tell(&self, what: &impl Serialize) {
        // Numbers as keys and text as values: there is nothing that JSON cannot say.
        if let (Some(lines), Ok(line)) = (&self.lines, serde_json::to_string(what)) {
            let _ = lines.send(format!("{line}\n"));
        }
    }
}

impl Supervisor<'_> {
    /// Listens to the controller that was started last, which hears of ends from now on; lines of another kind are sent on.
    pub(super) fn listen_to_controller(&mut self) -> Option<UnboundedReceiver<String>> {
        self.hub.lines = None;
        let told = self.children.told.take()?;
        told.set_nonblocking(true).ok()?;
        let (told, mut telling) = UnixStream::from_std(told).ok()?.into_split();
        let (others, receiver) = unbounded_channel();
        let sender = self.sender.clone();
        let listed = Arc::clone(&self.hub.listed);
        tokio::spawn(async move {
            let mut lines = BufReader::new(told).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == LISTED {
                    listed.notify_one();
                } else if line == HEARS {
                    let _ = sender.send(Notice::Event(Event::HubHears));
                } else if let Some(asked) = read(&line) {
                    let _ = sender.send(Notice::Event(Event::ClientAsked(asked)));
                } else if let Some(signalling) = read_signal(&line) {
                    let _ = sender.send(Notice::SignalSent(signalling));
                } else {
                    // Once all sockets are taken nobody listens any more.
                    let _ = others.send(line);
                }
            }
        });
        let (lines, mut untold) = unbounded_channel::<String>();
        self.hub.lines = Some(lines);
        self.hub.tell_of_nannies();
        tokio::spawn(async move {
            while let Some(line) = untold.recv().await {
                if telling.write_all(line.as_bytes()).await.is_err() {
                    // It has ended: the next one is given a list without those that have.
                    return;
                }
            }
        });
        Some(receiver)
    }

    /// Tells the hub that these engines have ended.
    pub(super) fn tell_the_hub(&self, ended: &[u32]) {
        self.hub.tell(&self.hub.ended(ended));
    }

    /// Sends an engine the signal that a client sends it, which is no end of the job.
    pub(super) fn signal_engine(&self, sent: Signalling) -> Option<End> {
        let unit = Unit::Engine(sent.engine);
        let signal = match sent.signal {
            // It only asks whether the process is there.
            0 => Ok(None),
            number => Signal::try_from(number).map(Some),
        };
        let why = match signal {
            Ok(signal) if self.children.signal_one(unit, signal) => None,
            Ok(_) => Some(format!("{unit} does not run")),
            Err(_) => Some(format!("there is no signal {}", sent.signal)),
        };
        self.hub.tell(&Signalled {
            signalled: BTreeMap::from([(sent.request, why)]),
        });
        None
    }
}

/// What a line says: `shutdown hub`, `shutdown engine 3`.
fn read(line: &str) -> Option<Asked> {
    match line.strip_prefix("shutdown ")? {
        "hub" => Some(Asked::Hub),
        engine => {
            let id = engine.strip_prefix("engine ")?.parse().ok()?;
            Some(Asked::Engine(id))
        }
    }
}

/// What a line says: `signal engine 3 2 17`.
fn read_signal(line: &str) -> Option<Signalling> {
    let mut words = line.strip_prefix("signal engine ")?.split(' ');
    let sent = Signalling {
        engine: words.next()?.parse().ok()?,
        signal: words.next()?.parse().ok()?,
        request: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_tells_is_read() {
        assert_eq!(read("shutdown hub"), Some(Asked::Hub));
        assert_eq!(read("shutdown engine 3"), Some(Asked::Engine(3)));
        for other in [
            "",
            "shutdown",
            "shutdown engine",
            "shutdown engine x",
            "a line",
        ] {
            assert_eq!(read(other), None, "{other}");
            assert_eq!(read_signal(other), None, "{other}");
        }
        let sent = Signalling {
            engine: 3,
            signal: 2,
            request: 17,
        };
        assert_eq!(read_signal("signal engine 3 2 17"), Some(sent));
        for other in [
            "signal engine 3 2",
            "signal engine 3 2 17 4",
            "signal engine 3 INT 17",
        ] {
            assert_eq!(read_signal(other), None, "{other}");
        }
    }

    #[test]
    fn an_end_is_told_with_the_name_that_the_engine_had_first() {
        let mut hub = Hub::default();
        let list = |text: &str| EngineList::read(text).expect("a list");
        hub.lists(
            &list(r#"{"engines": {"0": "f7dd", "2": "5ac0"}, "next_id": 3}"#),
            2,
        );
        // Somebody else has taken the id meanwhile.
        hub.lists(&list(r#"{"engines": {"0": "other"}, "next_id": 3}"#), 2);
        let line = |hub: &Hub, engines: &[u32]| serde_json::to_string(&hub.ended(engines)).ok();
        let told = line(&hub, &[0, 1]);
        assert_eq!(told.as_deref(), Some(r#"{"ended":{"0":"f7dd","1":null}}"#));
        hub.forget(0);
        let told = line(&hub, &[0]);
        assert_eq!(told.as_deref(), Some(r#"{"ended":{"0":null}}"#));
    }
}
