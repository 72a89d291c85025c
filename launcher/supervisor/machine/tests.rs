//! Every order of events, to a depth, against the rules above the machine.
//!
//! A little world stands around the machine: it knows which processes live, which timers run and which sweeps are owed, and
//! offers every event that could come next. States that were seen are not walked again.

mod ends;
mod engine_steps;
mod engines;
mod group;
mod orders;
mod restart;
mod srun_words;
mod time;

use super::engines::Engine;
use super::*;
use crate::failure::Failure;
use crate::plan::service::{Environment, Process, Streams};
use crate::plan::task_lines::Words;
use crate::supervisor::event::{Answer, Asked, Exit, Taken};
use std::path::PathBuf;

const ENGINES: u32 = 2;

fn service(name: Name, after: &[Name], processes: u32, ready: Readiness) -> Service {
    let process = Process {
        program: PathBuf::from("program"),
        args: Vec::new(),
        log: PathBuf::from("log"),
    };
    Service {
        name,
        after: after.to_vec(),
        processes: vec![process; processes as usize],
        carried: Vec::new(),
        environment: Environment::default(),
        streams: Streams::Log,
        port: None,
        ready,
        asking: crate::plan::service::Asking::Signal,
        start_limit: Duration::from_secs(5),
        restart_limit: Duration::from_secs(5),
        stop_limit: Duration::from_secs(1),
    }
}

/// Services that end with `last`; with [`Name::Engines`] the engines are one step.
fn services(minimum: u32, last: Name) -> Vec<Service> {
    let step = last == Name::Engines;
    let engines = Readiness::Engines {
        expected: ENGINES,
        minimum,
        step,
        world: false,
    };
    let mut services = vec![
        service(Name::Controller, &[], 1, Readiness::Controller),
        service(
            Name::Engines,
            &[Name::Controller],
            if step { 1 } else { ENGINES },
            engines,
        ),
    ];
    match last {
        Name::Jupyter => services.push(service(
            Name::Jupyter,
            &[Name::Controller],
            1,
            Readiness::Jupyter,
        )),
        Name::Driver => services.push(service(
            Name::Driver,
            &[Name::Controller, Name::Engines],
            1,
            Readiness::Started,
        )),
        _ => {}
    }
    services
}

/// The same, all of which start at once.
fn overlapped(minimum: u32, last: Name) -> Vec<Service> {
    let mut services = services(minimum, last);
    for service in &mut services {
        if service.ready != Readiness::Started {
            service.after.clear();
        }
    }
    services
}

/// The machine and what it has done to the world.
#[derive(Clone, Debug)]
struct World {
    machine: Machine,
    services: Vec<Service>,
    alive: BTreeSet<Unit>,
    watched: BTreeSet<Name>,
    ready: BTreeSet<Name>,
    killed: BTreeSet<Name>,
    swept: BTreeSet<Name>,
    owed: BTreeSet<Option<Name>>,
    timers: BTreeSet<Timer>,
    late: BTreeSet<(Unit, u32)>,
    announced: bool,
    reason: Option<String>,
    hurried: bool,
    finished: bool,
    /// Engines and, as `None`, the hub that a client has ended and nobody has asked for since; `None` where no client ends
    /// anything and no user asks.
    ended_by_client: Option<BTreeSet<Option<u32>>>,
    /// Engines whose end was told to the hub.
    told: BTreeSet<u32>,
    /// The request that waits for its answer.
    request: Option<String>,
    /// What was started again and may turn out to be on hold; `None` where files can always be written.
    may_be_on_hold: Option<BTreeSet<Unit>>,
}

impl World {
    fn new(minimum: u32, last: Name) -> Self {
        Self::of(services(minimum, last))
    }

    /// A world of these services.
    fn of(services: Vec<Service>) -> Self {
        let mut world = Self {
            machine: Machine::new(&services, Duration::from_secs(9)),
            services,
            alive: BTreeSet::new(),
            watched: BTreeSet::new(),
            ready: BTreeSet::new(),
            killed: BTreeSet::new(),
            swept: BTreeSet::new(),
            owed: BTreeSet::new(),
            timers: BTreeSet::new(),
            late: BTreeSet::new(),
            announced: false,
            reason: None,
            hurried: false,
            finished: false,
            ended_by_client: None,
            told: BTreeSet::new(),
            request: None,
            may_be_on_hold: None,
        };
        world.hear(Event::Begin);
        world
    }

    /// Everything that could happen next.
    fn possible(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for process in &self.alive {
            for exit in [
                Exit::Code(0),
                Exit::Code(1),
                Exit::Signal {
                    number: 9,
                    name: "SIGKILL".to_owned(),
                },
            ] {
                events.push(exited(*process, exit, &[]));
            }
        }
        for name in &self.watched {
            if *name == Name::Engines {
                for ids in [&[][..], &[0], &[1], &[0, 1], &[0, 7]] {
                    events.push(Event::Registered(ids.iter().copied().collect()));
                }
            } else if !self.ready.contains(name) {
                events.push(Event::Ready {
                    service: *name,
                    detail: String::new(),
                });
            }
            if *name != Name::Engines {
                events.push(Event::Broken {
                    service: *name,
                    failure: Failure::not_ready(format!("{name} is broken")),
                });
            }
        }
        if self.machine.engines.step
            && (self.machine.engines.together() || self.machine.engines.each())
        {
            let task = self.alive.contains(&Unit::EngineGroup);
            events.extend(task.then(|| killed(&[1])));
        }
        events.extend(self.timers.iter().copied().map(Event::TimeUp));
        for (unit, generation) in &self.late {
            for seen in [None, Some("it makes progress")] {
                events.push(progress(*unit, *generation, seen));
            }
        }
        events.extend(self.owed.iter().copied().map(Event::Swept));
        if self
            .timers
            .range(Timer::Deadline { telling: 0 }..)
            .next()
            .is_none()
        {
            events.push(Event::TimeLeft {
                left: Duration::from_secs(700),
                limit: Duration::from_secs(3600),
            });
        }
        for insists in [false, true] {
            events.push(Event::StopAsked {
                by: format!("SIGINT {insists}"),
                insists,
            });
        }
        events.push(Event::Superseded("a newer life".to_owned()));
        events.extend([Event::Cancelled, Event::Taken(Taken::ForGood)]);
        for unit in self.may_be_on_hold.iter().flatten() {
            events.push(on_hold(*unit));
        }
        if self.ended_by_client.is_some() {
            for asked in [Asked::Engine(0), Asked::Engine(7), Asked::Hub] {
                events.push(Event::ClientAsked(asked));
            }
            for all in [false, true] {
                events.push(again(all));
            }
        }
        events
    }

    /// Whether an event is about engines or controller: while something of the user's lives, that ends nothing.
    fn is_of_the_cluster(event: &Event) -> bool {
        let of = |name: Name| matches!(name, Name::Engines | Name::Controller);
        match event {
            Event::Exited { unit, .. } | Event::SpawnFailed { unit, .. } => of(unit.service()),
            Event::Broken { service, .. } => of(*service),
            Event::Registered(_)
            | Event::SrunSaid(_)
            | Event::World(_)
            | Event::ClientAsked(_)
            | Event::RestartAsked { .. } => true,
            Event::TimeUp(timer) => match timer {
                Timer::Stage { unit, .. } => of(unit.service()),
                Timer::Recount { .. } | Timer::Dropped | Timer::JobEnds { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a client has ended this engine or, as `None`, the hub.
    fn was_ended(&self, whom: Option<u32>) -> bool {
        let ended = self.ended_by_client.as_ref();
        ended.is_some_and(|ended| ended.contains(&whom))
    }

    /// Whether the driver or a Jupyter that was not given up lives.
    fn has_a_user(&self) -> bool {
        let lives = |name: Name| self.alive.iter().any(|unit| unit.service() == name);
        let jupyter = self.machine.life(Name::Jupyter);
        let given_up = jupyter.is_none_or(|life| life.given_up);
        self.announced && (lives(Name::Driver) || (lives(Name::Jupyter) && !given_up))
    }

    /// Lets one event happen and checks every rule on what comes of it.
    fn hear(&mut self, event: Event) {
        let stopping = self.reason.is_some();
        match &event {
            Event::Exited { unit, .. }
            | Event::SpawnFailed { unit, .. }
            | Event::OnHold { unit, .. } => {
                self.alive.remove(unit);
                if let Some(units) = &mut self.may_be_on_hold {
                    units.remove(unit);
                }
            }
            Event::TimeUp(timer) => {
                self.timers.remove(timer);
                if let Timer::Heeded { engine, generation } = timer
                    && self.machine.generation_of(*engine) == *generation
                    && self.machine.engines.is(*engine, Engine::counts)
                    && let Some(ended) = &mut self.ended_by_client
                {
                    ended.remove(&Some(*engine));
                }
            }
            Event::Progress {
                unit, generation, ..
            } => {
                self.late.remove(&(*unit, *generation));
            }
            Event::Swept(service) => {
                self.owed.remove(service);
                self.swept.extend(*service);
            }
            Event::Ready { service, .. } => {
                self.ready.insert(*service);
            }
            Event::ClientAsked(asked) => {
                let whom = match asked {
                    Asked::Engine(id) => Some(*id),
                    Asked::Hub => None,
                };
                self.ended_by_client.get_or_insert_default().insert(whom);
            }
            Event::RestartAsked { .. } => self.ended_by_client.get_or_insert_default().clear(),
            _ => {}
        }
        let kept = !stopping && self.has_a_user() && Self::is_of_the_cluster(&event);
        let told = format!("{event:?}");
        let insisted = match event {
            Event::StopAsked { insists, .. } => stopping && insists,
            Event::Superseded(_) => true,
            _ => false,
        };
        let effects = self.machine.on(event);
        assert!(
            !self.finished || effects.is_empty(),
            "rule 7: {effects:?} after the end"
        );
        for effect in effects {
            if let (Effect::Start { unit, again: true }, Some(units)) =
                (&effect, &mut self.may_be_on_hold)
            {
                units.insert(*unit);
            }
            self.check(&effect);
        }
        if let Some(reason) = self.machine.reason() {
            let first = self.reason.get_or_insert_with(|| reason.to_owned());
            assert_eq!(first, reason, "rule 4: the first reason counts");
        }
        assert!(
            !kept || self.reason.is_none(),
            "rule 11: {told} ends the job of who lives"
        );
        if insisted && !self.finished {
            self.hurried = true;
            for process in &self.alive {
                assert!(
                    self.killed.contains(&process.service()),
                    "rule 5: {process} was not killed"
                );
            }
        }
    }

    fn check(&mut self, effect: &Effect) {
        match effect {
            Effect::Start { unit, again: false } => self.check_spawn(unit.service()),
            Effect::Start {
                unit: Unit::Engine(engine),
                ..
            } => {
                assert!(
                    self.reason.is_none(),
                    "rule 8: engine {engine} started again after the stop"
                );
                let by_client = self.was_ended(Some(*engine));
                assert!(!by_client, "rule 12: engine {engine} was ended by a client");
                let new = self.alive.insert(Unit::Engine(*engine));
                assert!(new, "rule 10: engine {engine} started twice");
                let known = self.machine.engines.is(*engine, |engine| engine.listed);
                assert!(!known, "rule 8: the hub still knows engine {engine}");
                let told = self.told.remove(engine);
                assert!(
                    told,
                    "rule 14: engine {engine} starts before its end was told"
                );
            }
            Effect::Start { unit, .. } => self.check_restart(unit.service()),
            Effect::TellHub(ended) => {
                for engine in ended {
                    let new = self.told.insert(*engine);
                    assert!(new, "rule 14: the end of engine {engine} was told before");
                }
            }
            Effect::Announce => {
                assert!(!self.announced, "rule 2: announced twice");
                assert_ne!(self.machine.state(), State::Starting);
                let unready = self
                    .services
                    .iter()
                    .filter(|service| service.ready != Readiness::Started)
                    .find(|service| !self.counts_as_ready(service.name));
                assert!(unready.is_none(), "rule 2: announced without {unready:?}");
                self.announced = true;
            }
            Effect::Ask(unit) => self.check_terminate(unit.service()),
            Effect::Kill(Unit::Engine(_)) => {}
            Effect::Kill(unit) => {
                self.killed.insert(unit.service());
            }
            Effect::Sweep { service, .. } => {
                self.owed.insert(*service);
            }
            Effect::SetTimer(timer, _) => {
                self.timers.insert(*timer);
            }
            Effect::Look(Look::Progress { unit, generation }) => {
                self.late.insert((*unit, *generation));
            }
            Effect::Answer { request, answer } => match (answer, &self.request) {
                (Answer::Running, waits) => {
                    assert_eq!(*waits, None, "rule 13: two at once");
                    self.request = Some(request.clone());
                }
                (_, Some(waits)) if waits == request => self.request = None,
                (Answer::Failed(_), _) => {}
                (Answer::Done(_), _) => panic!("rule 13: {request} was answered before"),
            },
            Effect::Finish(end) => {
                assert_eq!(self.request, None, "rule 13: never answered");
                assert!(!self.finished, "rule 7: finished twice");
                assert_eq!(self.reason.as_ref(), Some(&end.reason), "rule 4");
                self.check_all_gone();
                self.finished = true;
            }
            Effect::Say(..)
            | Effect::Look(_)
            | Effect::EndSteps
            | Effect::GiveUp(_)
            | Effect::ShowLog(_)
            | Effect::Mark(_) => {}
        }
    }

    fn check_all_gone(&self) {
        for process in &self.alive {
            assert!(
                self.killed.contains(&process.service()),
                "rule 7: {process} lives and was never killed"
            );
        }
    }

    fn check_spawn(&mut self, name: Name) {
        assert!(
            self.reason.is_none(),
            "rule 1: {name} started after the stop"
        );
        let service = self.service(name).clone();
        for before in &service.after {
            assert!(
                self.counts_as_ready(*before),
                "rule 1: {name} started before {before} was ready"
            );
        }
        self.watched.insert(name);
        if service.ready == Readiness::Started {
            assert!(
                self.announced,
                "rule 2: {name} started before the announcement"
            );
            self.ready.insert(name);
        }
        for index in 0..u32::try_from(service.processes.len()).expect("few") {
            self.alive.insert(service.unit(index));
        }
    }

    fn check_restart(&mut self, name: Name) {
        assert!(
            self.reason.is_none(),
            "rule 8: {name} started again after the stop"
        );
        assert!(self.announced, "rule 8: {name} started again before ready");
        let lives = self.alive.iter().find(|unit| unit.service() == name);
        assert_eq!(lives, None, "rule 8: {name} started twice");
        let restarts = self.machine.life(name).map(|life| life.attempts);
        assert!(
            restarts.is_some_and(|restarts| restarts <= 5),
            "rule 8: {name} started again {restarts:?} times"
        );
        if name == Name::Controller {
            let by_client = self.was_ended(None);
            assert!(!by_client, "rule 12: the hub was ended by a client");
        }
        if name == Name::Engines {
            let known = self.machine.engines.any(|engine| engine.listed);
            assert!(!known, "rule 8: the hub still knows the set");
            let told = take(&mut self.told).len();
            assert_eq!(told, ENGINES as usize, "rule 14: a set starts");
        }
        self.ready.remove(&name);
        self.killed.remove(&name);
        self.alive.insert(Unit::from(name));
    }

    fn check_terminate(&self, name: Name) {
        assert!(self.machine.reason().is_some());
        let later = self
            .services
            .iter()
            .rev()
            .map(|service| service.name)
            .take_while(|other| *other != name);
        for other in later {
            let gone = !self.alive.iter().any(|unit| unit.service() == other);
            assert!(
                gone || self.killed.contains(&other),
                "rule 3: {name} asked to end while {other} lives"
            );
        }
    }

    fn service(&self, name: Name) -> &Service {
        self.services
            .iter()
            .find(|service| service.name == name)
            .expect("planned")
    }

    /// Engines become ready by what the hub lists, so that is the machine's own finding.
    fn counts_as_ready(&self, name: Name) -> bool {
        self.ready.contains(&name)
            || (name == Name::Engines && self.machine.stage(Name::Engines) == Stage::Ready)
    }

    /// From here on nothing happens but time, after one request to stop: the job must end.
    fn time_alone_ends_it(mut self) {
        self.hear(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        for _ in 0..40 {
            if self.finished {
                return;
            }
            let timers: Vec<Timer> = self.timers.iter().copied().collect();
            for timer in timers {
                self.hear(Event::TimeUp(timer));
            }
        }
        panic!("rule 6: time alone does not end {self:?}");
    }

    /// What tells one state of the world from another.
    fn key(&self) -> String {
        format!("{self:?}")
    }
}

fn exited(unit: Unit, exit: Exit, tail: &[&str]) -> Event {
    Event::Exited {
        unit,
        pid: 1,
        exit,
        tail: tail.iter().map(|line| (*line).to_owned()).collect(),
        memory: None,
    }
}

/// srun says that tasks were killed.
fn killed(tasks: &[u32]) -> Event {
    let text = format!("srun: error: node2: tasks {tasks:?}: Killed");
    Event::SrunSaid(Words::new(&text, tasks.to_vec()))
}

/// A unit starts again.
fn restart(unit: impl Into<Unit>) -> Effect {
    Effect::Start {
        unit: unit.into(),
        again: true,
    }
}

/// It is not started, because it could not write its log.
fn on_hold(unit: Unit) -> Event {
    Event::OnHold {
        unit,
        why: "the disk is full".to_owned(),
    }
}

/// The limit of a unit's start.
fn start_limit(unit: Unit, generation: u32) -> Timer {
    Timer::Stage {
        unit,
        generation,
        stage: Stage::Starting,
    }
}

/// It runs out.
fn late(unit: Unit, generation: u32) -> Event {
    Event::TimeUp(start_limit(unit, generation))
}

/// It is looked whether a unit makes progress with its start.
fn look_at(unit: Unit, generation: u32) -> Effect {
    Effect::Look(Look::Progress { unit, generation })
}

/// What was seen of it.
fn progress(unit: Unit, generation: u32, seen: Option<&str>) -> Event {
    Event::Progress {
        unit,
        generation,
        seen: seen.map(str::to_owned),
    }
}

/// The hub lists these engines.
fn listed(ids: &[u32]) -> Event {
    Event::Registered(ids.iter().copied().collect())
}

/// The user asks for engines.
fn again(all: bool) -> Event {
    Event::RestartAsked {
        request: "1".to_owned(),
        all,
    }
}

/// A world in which the job is up.
fn up(minimum: u32, last: Name) -> World {
    let mut world = World::new(minimum, last);
    world.hear(Event::Ready {
        service: Name::Controller,
        detail: String::new(),
    });
    if last == Name::Jupyter {
        world.hear(Event::Ready {
            service: Name::Jupyter,
            detail: String::new(),
        });
    }
    world.hear(Event::Registered(BTreeSet::from([0, 1])));
    assert_eq!(world.machine.state(), State::Ready);
    world
}

/// Lets events happen and returns how the job ended.
fn end_of(mut world: World, events: Vec<Event>) -> End {
    let mut end = None;
    for event in events {
        for effect in world.machine.on(event) {
            if let Effect::Finish(found) = effect {
                end = Some(found);
            }
        }
    }
    end.expect("the job ends")
}

/// The answers of a world in which everything ends when asked.
fn orderly_end(last: Name) -> Vec<Event> {
    let mut events = vec![
        exited(process(last, 0), Exit::Code(0), &[]),
        Event::Swept(Some(last)),
    ];
    for index in 0..ENGINES {
        events.push(exited(process(Name::Engines, index), Exit::Code(1), &[]));
    }
    events.extend([
        Event::Swept(Some(Name::Engines)),
        exited(process(Name::Controller, 0), Exit::Code(0), &[]),
        Event::Swept(Some(Name::Controller)),
        Event::Swept(None),
    ]);
    events
}

/// A process of a service that no other stands for.
fn process(service: Name, index: u32) -> Unit {
    match service {
        Name::Engines => Unit::Engine(index),
        _ => Unit::from(service),
    }
}

/// How many events in a row are tried: 5 reach every stage of the stop from the start and take seconds; 7 take minutes.
fn depth() -> usize {
    if std::env::var_os("IPJOB_TEST_LONG").is_some() {
        7
    } else {
        5
    }
}
