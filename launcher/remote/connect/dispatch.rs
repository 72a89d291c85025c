//! What arrives, made ready for the machine.

use super::event::{Effect, Event};
use super::facts::{Facts, Told};
use super::notice::Notice;
use super::{Connect, ssh, ssh_errors};
use crate::failure::Outcome;
use crate::remote::target::Job;
use std::io::Write;

impl Connect<'_> {
    pub(super) fn handle(&mut self, event: Event) -> Option<Outcome<()>> {
        let mut end = None;
        self.console.detail(event.told());
        for effect in self.machine.on(event) {
            if end.is_some() {
                break;
            }
            end = match effect {
                Effect::Finish(outcome) => Some(outcome),
                effect => {
                    let done = self.carry_out(effect);
                    self.or_local(done)
                }
            };
        }
        end
    }

    /// What cannot be done here is an event, as all else.
    pub(super) fn or_local(&mut self, done: Outcome<()>) -> Option<Outcome<()>> {
        match done {
            Ok(()) => None,
            Err(failure) => self.handle(Event::Local(failure)),
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) -> Option<Outcome<()>> {
        match notice {
            Notice::Event(event) => {
                self.stepping &= event != Event::Bridged(Ok(()));
                self.handle(event)
            }
            Notice::Part { id, part } => {
                if self.link.as_ref().is_none_or(|link| link.id != id) {
                    return None;
                }
                let mut end = None;
                for told in self.facts.take(&part) {
                    end = end.or_else(|| match told {
                        Told::Event(event) => self.told(event),
                        Told::Only(job) => self.only(job),
                    });
                }
                end
            }
            Notice::Raw { id, stream } => {
                if self.link.as_ref().is_some_and(|link| link.id == id) {
                    self.carry(stream);
                }
                None
            }
            Notice::Printed { id, line } => {
                let opened =
                    self.node.as_ref().is_some_and(|node| node.id == id) && line == ssh::OPEN;
                opened.then(|| self.node_opened()).flatten()
            }
            Notice::Said { id, line } => {
                self.said(id, line);
                None
            }
            Notice::Exited { pid, exit } => {
                let sender = self.sender.clone();
                let ended = self.programs_mut().find(|program| program.is(pid))?;
                ended.exited(exit, &sender);
                let id = ended.id;
                self.gone(id)
            }
            Notice::Closed { id } => {
                let ended = self.programs_mut().find(|program| program.id == id)?;
                ended.close();
                self.gone(id)
            }
            Notice::Stop(by) => {
                self.console.step(&format!("stopping: {by}"));
                self.handle(Event::StopAsked(by.to_owned()))
            }
            Notice::NodeUser(options) => {
                self.node_user = Some(options);
                let entered = self.enter();
                self.or_local(entered)
            }
            Notice::NotAnswered(why) => {
                let by_ssh = ssh_errors::of_channels(&self.words);
                self.handle(Event::Tried(Err(by_ssh.unwrap_or_else(|| why.into()))))
            }
        }
    }

    fn told(&mut self, event: Event) -> Option<Outcome<()>> {
        if event == Event::Opened {
            self.console.resume();
        }
        self.handle(event)
    }

    /// The only job that runs is meant.
    fn only(&mut self, job: Job) -> Option<Outcome<()>> {
        self.console.step(&format!(
            "job {}: the only one that is running",
            job.as_str()
        ));
        self.machine.call(job.as_str());
        if let Some(stdin) = self.link.as_mut().and_then(|link| link.stdin.as_mut()) {
            // A remote end that has gone is told by ssh's own end.
            let _ = writeln!(stdin, "job {}", job.as_str());
        }
        self.target.job = Some(job.clone());
        self.facts = Facts::again(job, &self.facts);
        None
    }
}
