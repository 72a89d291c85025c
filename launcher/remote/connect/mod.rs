//! `ipjob connect [HOST:]JOB`: one ssh login, one tunnel, a local client file and a page, kept up until the job or the person ends it.
//!
//! Built as the supervisor is: all sources (ssh, signals, probes, timers) send into ONE channel, one loop reads it, the machine decides
//! and the effects are carried out. ssh is what is supervised here.
//! docs/design/connect.md explains the design.

mod announce;
mod background;
mod endpoints;
mod event;
mod facts;
mod local;
mod machine;
mod notice;
mod order;
mod ports;
mod probe;
pub mod profile;
mod ready;
mod ssh;
mod ssh_errors;
mod ssh_process;
mod tunnel;
mod tunnels;
pub mod up;

use super::shell::{INTO_SH, READ_SCRIPT};
use super::target::{Job, Target, place};
use super::{queue, ssh as own_ssh};
use crate::cli::connect::{ConnectOptions, TunnelOptions, Via};
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::signals::Signals;
use crate::here::os::{own_time, state};
use crate::here::site::identity;
use crate::plan::exit::Exit;
use crate::plan::profile::ProfileName;
use crate::report::console::Console;
use crate::report::dry_run::quoted;
use crate::run;
use background::Behind;
use endpoints::Reach;
use event::{Effect, Event, Level, Timer, Way, Words};
use facts::{Facts, Told};
use machine::Machine;
use nix::sys::signal::Signal;
use notice::{Notice, Sender};
use order::Order;
use ports::LocalPorts;
use profile::LocalProfile;
use ssh_process::{Output, Program};
use std::cell::OnceCell;
use std::fs::Permissions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

/// How the names of connect's private directories begin.
pub const PRIVATE_PREFIX: &str = "ipjob-connect-";

/// The script that the remote end runs: how jobs are found, and how one is watched.
const FIND: &str = include_str!("../find.sh");
const WATCH: &str = include_str!("connect.sh");

/// The longest path of a directory for control sockets: a socket's own may have 104 bytes on some systems, and ssh adds 17 to it.
const LONGEST_PLACE: usize = 60;

/// Lines of one burst follow each other faster than this.
const BURST: Duration = Duration::from_millis(300);

/// How long programs may take to end when asked.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// One `ipjob connect`.
struct Connect<'a> {
    options: &'a TunnelOptions,
    /// What was typed for the job.
    typed: &'a str,
    target: Target,
    console: &'a mut Console,
    machine: Machine,
    facts: Facts,
    sender: Sender,
    /// `ssh`, where a host was named or a compute node is to be entered.
    ssh: Option<PathBuf>,
    /// The options of every ssh.
    ssh_options: OnceCell<Vec<&'static str>>,
    /// Where the control sockets are.
    private: TempDir,
    /// The ssh to HOST, or the shell that looks on this machine.
    link: Option<Program>,
    /// The ssh to the compute node, and the one before that has still to end.
    node: Option<Program>,
    /// What the next ssh to a compute node is for, while something must happen before it.
    entering: Option<(Reach, bool)>,
    /// The options that name the user on the compute node, once it is known whether some are needed.
    node_user: Option<Vec<String>>,
    /// The request for forwards that runs, and what was made.
    request: Option<Program>,
    /// Whether that one was withdrawn: what it makes is to go.
    withdrawn: bool,
    /// The request to take forwards away.
    cancelling: Option<Program>,
    /// Through which socket forwards are to be asked for once that has been answered.
    forwarding: Option<&'static str>,
    forwards: Vec<String>,
    /// The local ports that srun's step is to serve, until it is there.
    listeners: Vec<TcpListener>,
    /// Whether a step is being started.
    stepping: bool,
    ports: LocalPorts,
    profile: Option<LocalProfile>,
    /// The profile of another connect whose tunnel is used, once that was told.
    joined: Option<ProfileName>,
    /// The job to find by its name, or to submit (`ipjob up`).
    order: Option<Order>,
    /// What the remote end's parts begin with.
    mark: String,
    /// What we are where we stay in the background.
    behind: Option<Behind>,
    /// Whether a browser was sent to a page in the private directory.
    opened: bool,
    /// ssh's words since the last try.
    words: Vec<String>,
    /// While an ssh logs in that may ask the person at the terminal.
    asking: Option<Asking>,
    programs: u32,
}

/// An ssh that may ask the person at the terminal.
#[derive(Debug, Default)]
struct Asking {
    /// When it last said something.
    said: Option<Instant>,
}

/// Connects, or does what else is asked of connections, and tells the exit code.
pub fn run(options: &ConnectOptions, console: &mut Console) -> Outcome<u8> {
    if options.list {
        return tunnels::list(options, console);
    }
    if options.disconnect {
        return tunnels::disconnect(options, console);
    }
    let typed = options.target.as_deref().unwrap_or_default();
    begin(&options.tunnel, typed, Target::read(typed)?, None, console)
}

fn begin(
    tunnel: &TunnelOptions,
    typed: &str,
    target: Target,
    order: Option<Order>,
    console: &mut Console,
) -> Outcome<u8> {
    let ssh = match &target.host {
        Some(_) => Some(own_ssh::program()?),
        None => own_ssh::program().ok(),
    };
    if tunnel.background && !tunnel.behind {
        return background::front(console);
    }
    let behind = tunnel.behind.then(Behind::begin).transpose()?;
    run::event_loop()?.block_on(connect(tunnel, typed, target, order, ssh, behind, console))
}

async fn connect(
    options: &TunnelOptions,
    typed: &str,
    target: Target,
    order: Option<Order>,
    ssh: Option<PathBuf>,
    behind: Option<Behind>,
    console: &mut Console,
) -> Outcome<u8> {
    // Prompts of ssh must not be drawn over.
    console.pause();
    let (sender, mut notices) = mpsc::unbounded_channel();
    Signals::catch()?.forward(&sender);
    if let Some(behind) = &behind {
        let watched = behind.watch(&sender);
        watched.map_err(|error| Failure::missing("no socket can be watched").because(error))?;
    }
    let host = target.host.as_ref().map(|host| host.as_str().to_owned());
    let place = place(target.host.as_ref());
    let word = target.job.as_ref().map_or("", Job::as_str);
    let job = host
        .as_ref()
        .map_or_else(|| word.to_owned(), |host| format!("{word} on {host}"));
    let chosen = match options.via {
        Via::Auto => None,
        Via::Forward => Some(Way::Forward),
        Via::Jump => Some(Way::Jump),
        Via::Srun => Some(Way::Srun),
    };
    let mut connect = Connect {
        machine: Machine::new(job, host, chosen),
        facts: Facts::new(target.job.clone(), place),
        ports: LocalPorts::new(options.local_ports),
        options,
        typed,
        target,
        console,
        sender,
        ssh_options: OnceCell::new(),
        ssh,
        private: private_directory()?,
        link: None,
        node: None,
        entering: None,
        node_user: None,
        request: None,
        withdrawn: false,
        cancelling: None,
        forwarding: None,
        forwards: Vec::new(),
        listeners: Vec::new(),
        stepping: false,
        profile: None,
        joined: None,
        order,
        mark: String::new(),
        behind,
        opened: false,
        words: Vec::new(),
        asking: None,
        programs: 0,
    };
    let outcome = connect.run(&mut notices).await;
    let outcome = connect.leave(outcome, &mut notices).await;
    connect.close(&mut notices).await;
    if let Some(behind) = &connect.behind {
        behind.end(outcome.is_ok());
    }
    let outcome = outcome.map_err(|failure| connect.with_the_host(failure));
    outcome.map(|()| 0)
}

/// A directory that only we can enter, with a short path.
fn private_directory() -> Outcome<TempDir> {
    let place = state::temporary()
        .find(|place| place.as_os_str().len() <= LONGEST_PLACE)
        .ok_or_else(|| {
            Failure::missing("no private directory can be made: others could replace it in TMPDIR, in /tmp and in /dev/shm")
                .hint("set TMPDIR to a directory of yours with a short path")
        })?;
    tempfile::Builder::new()
        .prefix(PRIVATE_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .rand_bytes(8)
        .tempdir_in(&place)
        .map_err(|error| {
            Failure::missing(format!(
                "no private directory can be made in {}",
                place.display()
            ))
            .because(error)
            .hint("set TMPDIR to a directory of yours")
        })
}

impl Connect<'_> {
    /// The options of every ssh. They depend on its version, which is asked once, and not before there is something to connect to.
    fn ssh_options(&self) -> &[&'static str] {
        self.ssh_options.get_or_init(|| {
            self.ssh
                .as_deref()
                .map(own_ssh::options)
                .unwrap_or_default()
        })
    }

    /// The loop.
    async fn run(&mut self, notices: &mut UnboundedReceiver<Notice>) -> Outcome<()> {
        if let Some(Job::Id(_)) = &self.target.job
            && self.target.host.is_some()
        {
            // At once, so that a name that is taken is told before anybody is asked for a password.
            self.make_profile()?;
            if self.joined.is_some() {
                return Ok(());
            }
        }
        let mut end = self.handle(Event::Begin);
        while end.is_none() {
            // We keep a sender, so the channel never closes.
            let Some(notice) = notices.recv().await else {
                break;
            };
            end = self.notice(notice);
        }
        end.unwrap_or(Ok(()))
    }

    /// The failure to find a job, with the way to name a host for whoever has named none.
    fn with_the_host(&self, failure: Failure) -> Failure {
        match (&self.target.host, &self.target.job) {
            _ if failure.kind != Kind::NoJob => failure,
            (None, Some(Job::Profile(name))) => {
                failure.hint(format!("if {name} is a host, write `{name}:`"))
            }
            (None, Some(job)) if self.facts.is_without_slurm() => failure.hint(format!(
                "on a laptop write HOST:{}, where HOST is what you type after `ssh`",
                job.as_str()
            )),
            (Some(host), None) => failure.hint(format!(
                "name a pending job by its id: {}:JOB",
                host.as_str()
            )),
            (None, None) => failure.hint("name a pending job by its id"),
            _ => failure,
        }
    }

    fn programs_mut(&mut self) -> impl Iterator<Item = &mut Program> {
        [
            &mut self.link,
            &mut self.node,
            &mut self.request,
            &mut self.cancelling,
        ]
        .into_iter()
        .flatten()
    }

    /// Ends what was started and removes what was made here.
    async fn close(&mut self, notices: &mut UnboundedReceiver<Notice>) {
        self.profile = None;
        for program in self.programs_mut() {
            program.stdin = None;
            program.signal(Signal::SIGTERM);
        }
        let all_ended = async {
            while self.programs_mut().any(|program| program.runs()) {
                match notices.recv().await {
                    Some(Notice::Exited { pid, exit }) => {
                        let sender = self.sender.clone();
                        if let Some(ended) = self.programs_mut().find(|program| program.is(pid)) {
                            ended.exited(exit, &sender);
                        }
                    }
                    // A second request: now.
                    Some(Notice::Stop(_)) | None => return,
                    Some(_) => {}
                }
            }
        };
        let _ = timeout(END_PATIENCE, all_ended).await;
        for program in self.programs_mut() {
            program.signal(Signal::SIGKILL);
        }
        if self.opened && self.forwards.is_empty() {
            announce::wait_until_read(notices).await;
        }
    }

    /// The script of the remote end, with its words.
    fn script(&self, mark: &str) -> String {
        let job = self.target.job.as_ref().map_or("", Job::as_str);
        let order = match (&self.order, &self.target.job) {
            (Some(order), None) => format!(" up {}", quoted(order.path())),
            _ => String::new(),
        };
        format!(
            "{INTO_SH}\nmark={mark}\nset -- {} {}{order}\n{}\n{WATCH}",
            quoted(job),
            quoted(queue::FORMAT),
            FIND,
        )
    }

    fn next_id(&mut self) -> u32 {
        self.programs += 1;
        self.programs
    }

    /// Starts the ssh to HOST, or the shell that looks here.
    fn open_link(&mut self, may_ask: bool) -> Outcome<()> {
        self.asking = may_ask.then(Asking::default);
        let mark = identity::random_hex::<16>()?;
        let script = self.script(&mark);
        self.mark.clone_from(&mark);
        self.facts.restart();
        let (program, args) = match (&self.target.host, &self.ssh) {
            (Some(host), Some(ssh)) => (
                ssh.clone(),
                ssh::link(
                    self.ssh_options(),
                    &self.socket("s"),
                    host.as_str(),
                    READ_SCRIPT,
                    may_ask,
                ),
            ),
            _ => (PathBuf::from("/bin/sh"), vec!["-s".to_owned()]),
        };
        let (program, args) = match &self.behind {
            Some(_) => background::apart(&program, &args),
            None => (program, args),
        };
        let id = self.next_id();
        self.link = Some(Program::start(
            id,
            &program,
            &args,
            Some(&script),
            Output::Parts(mark),
            &self.sender,
        )?);
        Ok(())
    }
}

/// What arrives, made ready for the machine.
impl Connect<'_> {
    fn handle(&mut self, event: Event) -> Option<Outcome<()>> {
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
                    let end = self.or_local(done);
                    end.or_else(|| self.joined.is_some().then_some(Ok(())))
                }
            };
        }
        end
    }

    /// What cannot be done here is an event, as all else.
    fn or_local(&mut self, done: Outcome<()>) -> Option<Outcome<()>> {
        match done {
            Ok(()) => None,
            Err(failure) => self.handle(Event::Local(failure)),
        }
    }

    fn notice(&mut self, notice: Notice) -> Option<Outcome<()>> {
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
                end.or_else(|| self.ordered(&part))
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
                self.console.step("disconnected; the job keeps running");
                self.asked_to_stop(by)
            }
            Notice::Alone => match &self.behind {
                Some(behind) if behind.has_left() => None,
                _ => self.asked_to_stop("the other end is gone"),
            },
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

    fn asked_to_stop(&mut self, by: &str) -> Option<Outcome<()>> {
        if let Some(order) = &mut self.order {
            order.is_left = true;
        }
        let end = self.handle(Event::StopAsked(by.to_owned()));
        match &self.behind {
            // To the one in front success is a tunnel that stays.
            Some(behind) if !behind.has_left() => Some(Err(Failure::not_ready(
                "interrupted before the connection was ready",
            ))),
            _ => end,
        }
    }

    fn told(&mut self, event: Event) -> Option<Outcome<()>> {
        if event == Event::Opened {
            self.asking = None;
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
        self.mean(job);
        None
    }

    /// This job is meant from now on.
    fn mean(&mut self, job: Job) {
        self.machine.call(job.as_str());
        if let Some(stdin) = self.link.as_mut().and_then(|link| link.stdin.as_mut()) {
            // A remote end that has gone is told by ssh's own end.
            let _ = writeln!(stdin, "job {}", job.as_str());
        }
        self.target.job = Some(job.clone());
        self.facts = Facts::again(job, &self.facts);
    }
}

/// Carrying out what connect's machine says. No decision is made here.
impl Connect<'_> {
    fn carry_out(&mut self, effect: Effect) -> Outcome<()> {
        match effect {
            Effect::OpenLink { may_ask } => self.open_link(may_ask)?,
            Effect::Bridge {
                way,
                reach,
                may_ask,
            } => self.bridge(way, *reach, may_ask)?,
            Effect::Unbridge(way) => {
                if let Some(profile) = &mut self.profile {
                    profile.is_down();
                }
                self.unbridge(way);
            }
            Effect::Try(reach) => self.try_services(*reach),
            Effect::Settle(reach) => {
                // Nothing is waited for any more.
                self.console.still();
                self.settle(&reach)?;
            }
            Effect::Announce { reach, again } => self.announce(&reach, again)?,
            Effect::Progress(text) => self.progress(&text),
            Effect::Say(Level::Step, text) => self.console.step(&text),
            Effect::Say(Level::Warning, text) => self.console.warning(&text),
            Effect::SetTimer(timer, after) => self.set_timer(timer, after),
            Effect::Finish(_) => {}
        }
        Ok(())
    }

    fn socket(&self, name: &str) -> PathBuf {
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
    fn said(&mut self, id: u32, line: String) {
        let told = if line.starts_with("ssh: ") {
            line.clone()
        } else {
            format!("ssh: {line}")
        };
        let watched = self.console.is_paused() && self.console.is_terminal();
        if let Some(asking) = self.asking.as_mut().filter(|_| watched) {
            // A banner, or what a second factor's prompt refers to. ssh asks at the terminal itself, and may have done so meanwhile.
            let last = asking.said.replace(Instant::now());
            if last.is_none_or(|last| last.elapsed() > BURST) {
                self.console.apart();
            }
            self.console.step(&told);
        } else {
            self.console.detail(&told);
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
    fn gone(&mut self, id: u32) -> Option<Outcome<()>> {
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
            if let Some(failure) = self.lost_with_sbatch(&words) {
                return Some(Err(failure));
            }
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
