//! Starts, watches and ends what the plan says. All sources (children, probes, timers, signals) send into ONE channel; one
//! loop reads it, the machine decides, and the effects are carried out. Nothing else owns state, and nothing leaves the
//! loop with `?`: what fails is an event.

mod children;
mod company;
mod controller_messages;
mod deadline;
mod effects;
mod engine_step;
pub mod event;
mod file_thread;
mod fork;
mod idle;
mod machine;
pub mod notice;
mod on_ready;
mod outage;
mod ports;
mod probes;
mod publisher;
mod query;
pub mod rank;
mod ranks;
mod restart;
mod sweep;
mod takeover;
mod timers;

use crate::failure::Outcome;
use crate::here::os::signals::Signals;
use crate::here::os::{guard, stray_processes};
use crate::here::profile::directory::{self, Directory};
use crate::here::profile::ownership::Ownership;
use crate::here::profile::rendezvous::Leader;
use crate::here::site::identity;
use crate::plan::Plan;
use crate::plan::settings::Respawn;
use crate::record::{AbsPath, REFRESH_S, Record, State};
use crate::report::console::Console;
use crate::report::front::Front;
use crate::report::pointer;
use crate::report::writer::{Writer, Written};
use children::Children;
use controller_messages::Hub;
use deadline::JobClock;
use engine_step::EngineSteps;
use event::{End, Event, Level};
use idle::Activity;
use machine::Machine;
use notice::{Notice, Sender};
use outage::Outage;
use publisher::Publisher;
use restart::Kept;
use std::collections::BTreeSet;
use std::time::Duration;
use takeover::Tenure;
use tokio::sync::mpsc;

/// Slurm sends TERM twice within 20 ms at the time limit, so a repeated TERM means "now" only after a while.
const REPEAT_PAUSE: Duration = Duration::from_secs(3);

/// The supervisor of one job.
struct Supervisor<'a> {
    plan: &'a Plan,
    console: &'a mut Console,
    machine: Machine,
    children: Children,
    /// The record.
    publisher: Publisher,
    /// What is known of the engines' steps.
    steps: EngineSteps,
    /// What was said that engines lack: modules that cannot be imported, and what those lack that are no forks.
    lacks: BTreeSet<String>,
    /// The hub, as far as it is told of ends.
    hub: Hub,
    /// What is known of the job's end.
    clock: JobClock,
    /// Whether this life of the job is the last one.
    tenure: Tenure,
    /// What a service that is started again needs.
    kept: Kept,
    /// What is known of the job's use.
    activity: Activity,
    /// What was last seen of the place of the logs.
    outage: Outage,
    /// What is run when the job is ready.
    on_ready: on_ready::Progress,
    /// Where the other ranks hear of us, with the launcher `ranks`.
    meeting: Option<&'a mut Leader>,
    /// The ipjob that waits for us to be ready, where we are detached.
    front: Option<&'a mut Front>,
    sender: Sender,
}

/// The machine of a job of which so many seconds are gone.
fn machine(plan: &Plan, elapsed: f64) -> Machine {
    Machine::new(&plan.services, plan.settings.start.whole)
        .begun_before(Duration::try_from_secs_f64(elapsed).unwrap_or_default())
        .in_slurm(plan.allocation.job.is_some())
        .stopping_before_the_end(plan.settings.stop_before)
        .ending_when_idle(plan.settings.idle)
        .expecting_a_world(plan.world.clone())
        .replacing_engines(plan.respawn == Respawn::Engine)
        .restarting_the_set(plan.respawn == Respawn::Set)
        .sparing_the_silent(plan.settings.respawn.is_none())
        .starting_again(restart::startable(plan))
}

/// Watches the files that others write for us: the user, and a later life of the job.
fn watch_files(plan: &Plan, ownership: &Ownership, sender: &Sender) {
    restart::watch(plan, sender.clone());
    if plan.allocation.job.is_some() {
        takeover::watch(ownership.clone(), sender.clone());
    }
}

/// Runs the job to its end and tells how it ended.
pub async fn run(
    plan: &Plan,
    directory: &Directory,
    signals: Signals,
    meeting: Option<&mut Leader>,
    mut front: Option<&mut Front>,
    console: &mut Console,
) -> Outcome<End> {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let slurm = plan.allocation.slurm.as_ref();
    let mut record = Record::new(plan, slurm.and_then(identity::signalled_as))?;
    if let Some(log) = front.as_ref().and_then(|front| front.log()) {
        record.log = AbsPath::of(log)?.into();
    }
    let writer = Writer::new(plan);
    let key = plan.secrets.key.reveal();
    let ownership = Ownership::new(&plan.profile, &plan.incarnation);
    let ours = || ownership.successor().is_none();
    let wired = writer
        .first(&mut record, ours)
        .and_then(|()| ports::wire(plan));
    let wiring = match wired {
        Ok(wiring) => wiring,
        Err(failure) => {
            // One place of two may have been written: no reader must take that for a job that starts.
            record.state = State::Ended.into();
            record.exit = failure.exit_code().into();
            record.set_reason(&failure.to_string());
            let _ = writer.write(&mut record, ours);
            directory::clear(&plan.profile, key);
            directory.lock.ended();
            return Err(failure);
        }
    };
    console.detach();
    signals.forward(&sender);
    guard::watch(sender.clone());
    timers::refresh(Duration::from_secs(REFRESH_S), sender.clone());
    watch_files(plan, &ownership, &sender);
    if let Some(front) = &mut front {
        company::watch_front(front, sender.clone());
    }
    if let Some(followed) = plan.settings.follow.clone() {
        company::follow(followed, sender.clone());
    }
    probes::cut_logs(probes::TOTAL, sender.clone());
    let mut supervisor = Supervisor {
        plan,
        machine: machine(plan, console.elapsed()),
        children: Children::new(plan),
        publisher: Publisher::start(plan, record, writer, ownership.clone(), sender.clone()),
        steps: EngineSteps::default(),
        hub: Hub::default(),
        clock: JobClock::default(),
        tenure: Tenure::new(ownership, sender.clone()),
        kept: Kept::new(plan.secrets.token.clone(), wiring),
        activity: Activity::default(),
        lacks: BTreeSet::new(),
        outage: Outage::default(),
        on_ready: on_ready::Progress::default(),
        meeting,
        front,
        console,
        sender,
    };
    for remark in plan.remarks.iter().chain(&directory.remarks) {
        supervisor.console.step(remark);
    }
    if let Some(why) = plan.creation.hindrance() {
        supervisor.say_not_forked(why);
    }
    for text in &plan.warnings {
        supervisor.say(Level::Warning, text.clone());
    }
    if let Err(error) = pointer::write(plan) {
        supervisor.say(
            Level::Warning,
            format!("the pointer to the record cannot be written, so `ipjob status` will not find this job: {error}"),
        );
    }
    if let Some(slurm) = &plan.allocation.slurm {
        deadline::watch(slurm.job.clone(), supervisor.sender.clone());
        query::submission_host(slurm, supervisor.sender.clone());
    }
    let mut end = supervisor.handle(Notice::Event(Event::Begin));
    supervisor.tell();
    while end.is_none() {
        // The supervisor keeps a sender, so the channel never closes.
        let Some(notice) = notices.recv().await else {
            break;
        };
        end = supervisor.handle(notice);
        // Once for all that has come meanwhile: with thousands of engines each of these is work.
        if end.is_none() && notices.is_empty() {
            supervisor.tell();
        }
    }
    let end = end.unwrap_or_else(|| End {
        code: 1,
        reason: "the channel of events closed".to_owned(),
        failure: None,
    });
    if supervisor.close(&end) {
        directory.lock.ended();
    }
    Ok(end)
}

impl Supervisor<'_> {
    /// Brings the live line up to date, and the record too where its turn has come.
    fn tell(&mut self) {
        self.console.waiting(&self.machine.pending());
        let tenure = &mut self.tenure;
        self.publisher.publish(&self.machine, || tenure.is_ours());
    }

    /// The record was written, or could not be.
    fn record_written(&mut self, took: Duration, written: Written) {
        match self.publisher.written(took, written) {
            Some((text, true)) => self.console.warning(&text),
            Some((text, false)) => self.console.step(&text),
            None => {}
        }
        // Who waits in front has heard that it could not be.
        self.let_front_go();
    }

    /// The last things: no connection file, no secret, a record that says how it ended. Tells whether nothing is left that
    /// the next ipjob should look for.
    fn close(&mut self, end: &End) -> bool {
        let record = self.publisher.edit();
        record.forget_secrets();
        record.exit = end.code.into();
        record.set_reason(&end.reason);
        record.mark(self.console.elapsed(), "ended".to_owned());
        let answered = self.write_last();
        let left: Vec<String> = stray_processes::carrying(&self.plan.incarnation.id)
            .into_keys()
            .map(|leftover| leftover.pid.to_string())
            .collect();
        if left.is_empty() {
            self.console.step("ended; nothing is left running");
        } else {
            self.console.warning(&format!(
                "ended, but still running: pid {}",
                left.join(", ")
            ));
        }
        left.is_empty() && answered
    }
}

/// Taking notices: each becomes an event of the machine's, or is seen to at once. No decision is made here.
impl Supervisor<'_> {
    /// Takes one notice; tells the end once there is one.
    fn handle(&mut self, notice: Notice) -> Option<End> {
        if self.is_of_an_earlier_start(&notice) {
            return None;
        }
        self.ask_for_the_end(&notice);
        if self.machine.believes_the_hub() {
            self.kept.hub_is_believed();
        }
        let event = match notice {
            Notice::Event(event) => event,
            Notice::Exited { pid, exit } => {
                self.steps.scancel_ended(pid, &exit);
                self.on_ready_ended(pid, &exit);
                let event = self.children.exited(pid, exit);
                self.settle_forking();
                event?
            }
            Notice::ScancelIsLate => {
                self.ask_by_srun();
                return None;
            }
            Notice::SubmittedOnNode => {
                self.publisher.forget_login();
                return None;
            }
            Notice::RecordIsDue => {
                self.publisher.is_due();
                return None;
            }
            Notice::RecordWritten {
                told,
                took,
                written,
            } => {
                // Of two places the profile's comes first, and is the one that the command reads.
                let failed = written.as_ref().err().map(|(path, _)| path.clone());
                self.record_written(took, written);
                if failed != Some(self.plan.profile.record()) {
                    self.run_on_ready(told);
                }
                return None;
            }
            Notice::LogCut(path) => {
                self.say_cut(&path);
                return None;
            }
            Notice::ForkingSaid(said) => self.forking_said(said)?,
            Notice::ForkingIsSilent => {
                self.forking_is_silent();
                return None;
            }
            Notice::EngineSees(sight) => return self.engine_sees(&sight),
            Notice::Unbound(told) => return self.say_unbound(&told),
            Notice::NotForked(_) | Notice::NotImported(_) => {
                self.engines_lack(&notice);
                return None;
            }
            Notice::StopRequested { by, personal } => {
                let event = self.stop_requested(by, personal);
                self.tenure.unless_superseded(event)
            }
            Notice::FrontIsGone => self.front_is_gone()?,
            Notice::FollowedIsGone(followed) => self.followed_is_gone(&followed),
            Notice::ControllerWired(wired) => self.controller_wired(wired),
            Notice::SignalSent(sent) => return self.signal_engine(sent),
            Notice::NodeTold(rest) => {
                // Programs of the user's print into that log as well.
                let mut engines = self.publisher.record().engines.list.iter();
                if engines.any(|engine| *engine.node == *rest.node) {
                    self.activity.told(rest);
                }
                return None;
            }
            Notice::UseSeen(seen) => {
                let elsewhere = self.in_use_elsewhere();
                self.activity.judge(seen, elsewhere)
            }
            Notice::JupyterAnswers(answer) => self.jupyter_answers(&answer),
            Notice::Broken {
                service,
                ended,
                failure,
                ..
            } => self.broken(service, ended, failure),
            Notice::FilesChanged(changes) => {
                self.files_changed(&changes);
                return None;
            }
            Notice::EnginesListed(list) => self.engines_listed(list),
            Notice::KillWait(wait) => self.slurm_kills_after(wait),
            Notice::JobEnds(answer) => self.job_ends(answer.as_deref())?,
            Notice::EngineReported(report) => self.engine_reported(report),
            Notice::EngineIsBack { srun, report } => self.engine_is_back(srun, report)?,
            Notice::RankEnded { rank, end } => self.rank_ended(rank, end),
            Notice::Refresh => {
                let _ = self.children.out_of_memory(false);
                self.beat();
                self.publisher.hasten();
                return None;
            }
        };
        self.publisher.touch();
        self.follow_machine(event)
    }

    /// The machine hears an event, and what it says is carried out.
    fn follow_machine(&mut self, event: Event) -> Option<End> {
        let effects = self.machine.on(event);
        if self.stops() {
            self.publisher.keep_engines(&self.machine);
            self.shut();
        }
        let mut end = None;
        for effect in effects {
            end = end.or(self.carry_out(effect));
        }
        end
    }

    /// A signal asks for the end; a repeated one that is meant insists.
    fn stop_requested(&mut self, by: &str, personal: bool) -> Event {
        Event::StopAsked {
            by: by.to_owned(),
            insists: self.clock.asked(personal),
        }
    }
}
