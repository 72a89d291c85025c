//! Carrying out what connect's machine says. No decision is made here.

use super::event::{Effect, Event, Level, Timer, Way, Words};
use super::notice::Notice;
use super::profile::{LocalProfile, Marker};
use super::program::{Output, Program};
use super::reach::Reach;
use super::{Connect, announce, browser, probe, refusal, ssh};
use crate::failure::{Failure, Outcome};
use crate::here::asking;
use crate::plan::exit::Exit;
use crate::remote::target::Job;
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How long `ssh -G` may take, which only reads files.
const CONFIGURATION_LIMIT: Duration = Duration::from_secs(10);

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
            Effect::Announce(reach) => self.announce(&reach)?,
            Effect::Progress(text) => self.progress(text),
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
            tokio::time::sleep(after).await;
            let _ = sender.send(Notice::Event(Event::TimeUp(timer)));
        });
    }

    /// On a terminal a live line; in a log a line each.
    fn progress(&mut self, text: String) {
        if !self.console.waiting(&[text.clone()]) {
            self.console.step(&text);
        }
    }

    fn bridge(&mut self, way: Way, reach: Reach, may_ask: bool) -> Outcome<()> {
        self.words.clear();
        if self.is_direct(way) {
            // On the login node itself nothing has to be carried.
            let _ = self.sender.send(Notice::Event(Event::Bridged(Ok(()))));
            return Ok(());
        }
        self.ports.give(&reach.endpoints())?;
        match way {
            Way::Forward => self.forward("s"),
            Way::Jump => {
                self.entering = Some((reach, may_ask));
                if self.node_user.is_none() {
                    self.ask_for_user();
                }
                // The user's name is waited for, and the end of an earlier ssh to a node.
                if self.enter().is_some() {
                    return Err(Failure::ssh("ssh cannot be started"));
                }
                Ok(())
            }
            Way::Srun => Ok(()),
        }
    }

    /// Whether services are reached without a tunnel: no host was named, so this machine is the cluster's own.
    fn is_direct(&self, way: Way) -> bool {
        way == Way::Forward && self.target.host.is_none()
    }

    /// Asks a running ssh for the forwards.
    fn forward(&mut self, socket: &str) -> Outcome<()> {
        self.forwards = self
            .ports
            .all()
            .map(|(endpoint, local)| ssh::forward(local, endpoint))
            .collect();
        self.ports.hand_over();
        let args = ssh::request(&self.socket(socket), "forward", &self.forwards);
        self.request = Some(self.start_ssh(&args, Output::Lines)?);
        Ok(())
    }

    fn start_ssh(&mut self, args: &[String], output: Output) -> Outcome<Program> {
        let id = self.next_id();
        let Some(ssh) = &self.ssh else {
            return Err(Failure::missing("ssh is not on PATH"));
        };
        Program::start(id, ssh, args, None, output, &self.sender)
    }

    fn unbridge(&mut self, way: Way) {
        match way {
            Way::Forward if !self.forwards.is_empty() => {
                let args = ssh::request(&self.socket("s"), "cancel", &self.forwards);
                // Nobody waits for its end; the local ports are free before the next request reaches the same ssh.
                self.cancelling = self.start_ssh(&args, Output::Lines).ok();
                self.forwards.clear();
            }
            Way::Jump => {
                self.entering = None;
                if let Some(node) = &self.node {
                    node.signal(Signal::SIGTERM);
                }
            }
            Way::Forward | Way::Srun => {}
        }
    }

    /// Looks up the user on the compute node: what ssh's configuration says of it, else the user on HOST.
    fn ask_for_user(&mut self) {
        let (Some(ssh), Some((reach, _))) = (self.ssh.clone(), &self.entering) else {
            return;
        };
        let node = reach.node.clone();
        let host = self
            .target
            .host
            .as_ref()
            .map(|host| host.as_str().to_owned());
        let sender = self.sender.clone();
        // ssh -G only reads files; that it may have been reaped already does not matter, its output is what counts.
        thread::spawn(move || {
            let user_of = |name: &str| {
                let answer = asking::ask(
                    Command::new(&ssh).args(["-G", "--", name]),
                    CONFIGURATION_LIMIT,
                );
                ssh::setting(&answer.output, "user").map(str::to_owned)
            };
            // A name that no configuration has gets the user of this machine.
            let default = user_of("ipjob-host-without-configuration.invalid");
            let own = user_of(&node);
            let user = match host {
                Some(host) if own == default => {
                    user_of(&host).filter(|user| Some(user) != own.as_ref())
                }
                _ => None,
            };
            let _ = sender.send(Notice::NodeUser(user));
        });
    }

    /// Starts the ssh to the compute node, if all that it needs is there.
    pub(super) fn enter(&mut self) -> Option<Outcome<()>> {
        if self.node.as_ref().is_some_and(Program::runs) {
            return None;
        }
        let user = self.node_user.clone()?;
        let (reach, may_ask) = self.entering.take()?;
        let program = self.ssh.as_ref()?.display().to_string();
        let through = self.socket("s");
        let host = self.target.host.as_ref();
        let args = ssh::node(
            &self.socket("n"),
            &program,
            host.map(|host| (through.as_path(), host.as_str())),
            user.as_deref(),
            &reach.node,
            may_ask,
        );
        self.console.pause();
        match self.start_ssh(&args, Output::Lines) {
            Ok(node) => {
                self.node = Some(node);
                None
            }
            Err(failure) => self.handle(Event::Local(failure)),
        }
    }

    /// The ssh to the compute node is logged in.
    pub(super) fn node_opened(&mut self) -> Option<Outcome<()>> {
        self.console.resume();
        match self.forward("n") {
            Ok(()) => None,
            Err(failure) => self.handle(Event::Local(failure)),
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
        if is(&self.link) {
            let words = words(&self.link.take()?);
            self.console.pause();
            return self.handle(Event::LinkEnded(words));
        }
        if is(&self.node) {
            let words = words(&self.node.take()?);
            // One that was ended to make room for the next.
            if self.entering.is_some() {
                return self.enter();
            }
            let why = refusal::last_words(&words);
            return self.handle(Event::BridgeEnded(format!("ssh to the node ended: {why}")));
        }
        None
    }

    /// The request for forwards was answered.
    fn forwarded(&mut self, request: &Program) -> Option<Outcome<()>> {
        if request.ended() == Some(&Exit::Code(0)) {
            return self.handle(Event::Bridged(Ok(())));
        }
        // The ssh that was asked says more than the one that asks.
        let telling = |line: &&String| line.starts_with("bind ") || line.contains("cannot listen");
        let why = self
            .words
            .iter()
            .rev()
            .find(telling)
            .or(request.words.last());
        let why = why
            .cloned()
            .unwrap_or_else(|| "ssh did not say why".to_owned());
        self.handle(Event::Bridged(Err(why)))
    }

    /// The name of the local profile.
    fn profile_name(&self) -> String {
        match (&self.options.profile, self.facts.job()) {
            (Some(name), _) => name.clone(),
            (None, Some(Job::Profile(name))) => name.clone(),
            (None, Some(job)) => format!("job_{}", job.as_str()),
            (None, None) => "job".to_owned(),
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
            let name = self.profile_name();
            self.profile = Some(LocalProfile::make(
                &self.options.ipython_dir()?,
                &name,
                marker,
            )?);
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

    fn announce(&mut self, reach: &Reach) -> Outcome<()> {
        self.console.still();
        let ready = announce::Ready {
            job: self.facts.job().map_or("", Job::as_str),
            profile: &self.profile_name(),
            client_file: self.profile.as_ref().map(LocalProfile::client_file),
            reach,
            ports: &self.ports,
        };
        announce::tell(&ready, self.options, self.console)?;
        if self.options.open
            && let Some(page) = &reach.page
        {
            browser::open(&announce::url(page, &self.ports), self.console);
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
