//! Carrying out what connect's machine says. No decision is made here.

use super::endpoints::Reach;
use super::event::{Effect, Event, Level, Timer, Words};
use super::notice::Notice;
use super::profile::{LocalProfile, Marker};
use super::ssh_process::Program;
use super::{Connect, announce, browser, probe, ssh_errors};
use crate::failure::Outcome;
use crate::here::os::own_time;
use crate::plan::exit::Exit;
use crate::plan::profile::ProfileName;
use crate::remote::target::Job;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

impl Connect<'_> {
    pub(super) fn carry_out(&mut self, effect: Effect) -> Outcome<()> {
        match effect {
            Effect::OpenLink { may_ask } => self.open_link(may_ask)?,
            Effect::Bridge {
                way,
                reach,
                may_ask,
            } => self.bridge(way, *reach, may_ask)?,
            Effect::Unbridge(way) => self.unbridge(way),
            Effect::Try(reach) => self.try_services(*reach),
            Effect::Settle(reach) => self.settle(&reach)?,
            Effect::Announce { reach, again } => self.announce(&reach, again)?,
            Effect::Progress(text) => self.progress(&text),
            Effect::Say(Level::Step, text) => self.console.step(&text),
            Effect::Say(Level::Warning, text) => self.console.warning(&text),
            Effect::SetTimer(timer, after) => self.set_timer(timer, after),
            Effect::Finish(_) => {}
        }
        Ok(())
    }

    pub(super) fn socket(&self, name: &str) -> PathBuf {
        self.private.path().join(name)
    }

    fn set_timer(&self, timer: Timer, after: Duration) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            own_time::sleep(after).await;
            let _ = sender.send(Notice::Event(Event::TimeUp(timer)));
        });
    }

    /// On a terminal a live line; in a log a line each.
    fn progress(&self, text: &str) {
        if !self.console.waiting(&[text.to_owned()]) {
            self.console.step(text);
        }
    }

    fn try_services(&mut self, reach: Reach) {
        let Some(first) = reach.first() else { return };
        let address = match self.ports.of(&first) {
            Some(local) => SocketAddr::from((Ipv4Addr::LOCALHOST, local)),
            None => probe::direct(&first),
        };
        probe::start(reach, address, self.sender.clone());
    }

    /// A program said something on stderr.
    pub(super) fn said(&mut self, id: u32, line: String) {
        let opening = self.console.is_paused() && self.console.is_terminal();
        if opening {
            // A banner, or what a second factor's prompt refers to.
            self.console.step(&format!("ssh: {line}"));
        } else {
            self.console.detail(&format!("ssh: {line}"));
        }
        self.words.push(line.clone());
        if self.words.len() > 100 {
            self.words.remove(0);
        }
        if let Some(program) = self.programs_mut().find(|program| program.id == id) {
            program.said(line);
        }
    }

    /// A program has ended, and its last words have been read: whose end it was.
    pub(super) fn gone(&mut self, id: u32) -> Option<Outcome<()>> {
        let is = |program: &Option<Program>| {
            program
                .as_ref()
                .is_some_and(|program| program.id == id && program.ended().is_some())
        };
        if is(&self.request) {
            let request = self.request.take()?;
            return self.forwarded(&request);
        }
        if is(&self.cancelling) {
            return self.cancelled();
        }
        if is(&self.link) {
            let words = words(&self.link.take()?);
            self.console.pause();
            if std::mem::take(&mut self.stepping) {
                // srun's own last line only counts exit codes; what was wrong stands before it.
                let first = words.lines.len().saturating_sub(3);
                let why = match words.lines.get(first..) {
                    Some(lines) if !lines.is_empty() => lines.join("; "),
                    _ => ssh_errors::last_words(&words),
                };
                if let Some(end) = self.handle(Event::Bridged(Err(why.into()))) {
                    return Some(end);
                }
            }
            return self.handle(Event::LinkEnded(words));
        }
        if is(&self.node) {
            let words = words(&self.node.take()?);
            // One that was ended to make room for the next.
            if self.entering.is_some() {
                let entered = self.enter();
                return self.or_local(entered);
            }
            let why = ssh_errors::last_words(&words);
            return self.handle(Event::BridgeEnded(format!("ssh to the node ended: {why}")));
        }
        None
    }

    /// The name of the local profile; of the job's own where none is made.
    fn profile_name(&self) -> ProfileName {
        match (&self.options.profile, self.facts.job()) {
            (Some(name), _) | (None, Some(Job::Profile(name))) => name.clone(),
            (None, job) => ProfileName::of_job(job.map_or("", Job::as_str)),
        }
    }

    pub(super) fn make_profile(&mut self) -> Outcome<()> {
        if self.profile.is_none() {
            let marker = Marker {
                pid: std::process::id(),
                target: self.options.target.clone(),
                url: None,
                private: Some(self.private.path().to_owned()),
            };
            let ipython_dir = self.options.ipython_dir()?;
            let name = match &self.options.profile {
                Some(name) => name.clone(),
                None => LocalProfile::free_name(&ipython_dir, &self.profile_name()),
            };
            self.profile = Some(LocalProfile::make(&ipython_dir, &name, marker)?);
        }
        Ok(())
    }

    fn settle(&mut self, reach: &Reach) -> Outcome<()> {
        if self.forwards.is_empty() {
            return Ok(());
        }
        self.make_profile()?;
        let text = reach
            .client
            .on_the_laptop(|endpoint| self.ports.of(endpoint));
        let url = reach
            .page
            .as_ref()
            .map(|page| announce::url(page, &self.ports));
        if let Some(profile) = &mut self.profile {
            profile.write(&text)?;
            profile.tell(url);
        }
        Ok(())
    }

    fn announce(&mut self, reach: &Reach, again: bool) -> Outcome<()> {
        self.console.still();
        let profile = match &self.profile {
            Some(profile) => profile.name().clone(),
            // The job's own is at hand, whatever the job was called here.
            None => match self.facts.profile() {
                Some(name) => name.clone(),
                None => self.profile_name(),
            },
        };
        let ready = announce::Ready {
            job: self.facts.job().map_or("", Job::as_str),
            profile: profile.as_str(),
            client_file: self.profile.as_ref().map(LocalProfile::client_file),
            reach,
            ports: &self.ports,
            again,
        };
        announce::tell(&ready, self.options, self.console)?;
        // Nobody may sit there when a job is requeued.
        if self.options.open
            && !again
            && let Some(page) = &reach.page
        {
            let url = announce::url(page, &self.ports);
            self.opened = browser::open(&url, &self.socket("open.html"), self.console)?;
        }
        Ok(())
    }
}

/// The last words of a program and its exit code.
fn words(program: &Program) -> Words {
    Words {
        lines: program.words.clone(),
        code: match program.ended() {
            Some(Exit::Code(code)) => Some(*code),
            _ => None,
        },
    }
}
