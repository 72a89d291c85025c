//! Carrying out a restart: a service that died gets its wiring, port and token again; and hearing the user, who may ask for one. No decision
//! is made here.
//!
//! docs/design/restart.md explains the design.

use super::children::{Given, write_carried};
use super::event::{Answer, Event, Level};
use super::machine::Startable;
use super::notice::{Notice, Sender, Wired};
use super::probes::{self, calm_pause};
use super::{Supervisor, file_thread};
use crate::failure::Failure;
use crate::here::os::files;
use crate::here::os::text::printable;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::connection_files::{Change, ConnectionFiles, Found};
use crate::here::profile::ports::Hold;
use crate::here::profile::wiring::Wiring;
use crate::here::site::identity;
use crate::plan::Plan;
use crate::plan::cluster_file;
use crate::plan::engine_list::EngineList;
use crate::plan::environment::TOKEN;
use crate::plan::name::{Name, Unit};
use crate::plan::request::Request;
use crate::plan::service::Service;
use crate::plan::services::controller_again;
use crate::plan::settings::Launcher;
use crate::plan::task_lines::Report;
use crate::plan::text::Text;
use crate::record::{self, RequestId, RequestState};
use std::fs;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a controller or Jupyter that takes the place of another needs, kept here because who dies may take it along.
#[derive(Debug)]
pub struct Kept {
    /// The connection files, and what keeps them so.
    files: Option<(Arc<ConnectionFiles>, JoinHandle<()>)>,
    /// What others did to them last: it is said once.
    said: Vec<String>,
    /// The engines that the hub knew.
    engines: EngineList,
    /// Whether these were given to a controller that has not told its own since.
    restored: bool,
    /// The wiring that ipjob made, with an overlapped start: its ports are held to the end.
    wiring: Option<Wiring>,
    /// Jupyter's token: another one, once somebody else may have heard the planned one.
    token: Text,
    /// Whether nobody is let in any more.
    pub shut: bool,
}

impl Kept {
    /// What there is at the start.
    pub fn new(token: Text, wiring: Option<Wiring>) -> Self {
        Self {
            files: None,
            said: Vec::new(),
            engines: EngineList::default(),
            restored: false,
            wiring,
            token,
            shut: false,
        }
    }

    /// Jupyter's token.
    pub fn token(&self) -> &Text {
        &self.token
    }

    /// The wiring that ipjob made.
    pub fn wiring(&self) -> Option<&Wiring> {
        self.wiring.as_ref()
    }

    /// The controller has told its own engines.
    pub fn hub_is_believed(&mut self) {
        self.restored = false;
    }
}

impl Supervisor<'_> {
    /// Whether a probe speaks of a process that has ended meanwhile.
    pub(super) fn is_of_an_earlier_start(&self, notice: &Notice) -> bool {
        let (service, pid) = match notice {
            Notice::ControllerWired(wired) => (Name::Controller, wired.pid),
            Notice::JupyterAnswers(answer) => (Name::Jupyter, answer.pid),
            Notice::Broken { service, pid, .. } => (*service, *pid),
            _ => return false,
        };
        !self.children.runs(service, pid)
    }

    /// A probe found that a service cannot work: where one of its processes has ended, perhaps for want of memory, which the
    /// kernel has counted.
    pub(super) fn broken(&mut self, service: Name, ended: bool, failure: Failure) -> Event {
        let failure = match self.children.out_of_memory(ended) {
            Some(memory) => memory.explain(failure),
            None => failure,
        };
        Event::Broken { service, failure }
    }

    /// Keeps the connection files of a ready controller as they are, under the names that everybody knows as well.
    pub(super) fn keep(&mut self, wired: &Wired) {
        if self.kept.shut {
            return;
        }
        if let Some((before, watch)) = self.kept.files.take() {
            before.close();
            watch.abort();
        }
        let key = self.plan.secrets.key.reveal();
        let files = ConnectionFiles::new(
            &self.plan.profile,
            key,
            self.tenure.ownership(),
            &wired.files,
        )
        .listed(self.plan.is_listed.then(|| cluster_file::text(self.plan)));
        let files = Arc::new(files);
        let first = Arc::clone(&files);
        // Before the job is announced: who reads that looks for them.
        if let Some(changes) = within(LOOK, move || first.look()) {
            self.files_changed(&changes);
        }
        let watch = probes::keep_connection_files(Arc::clone(&files), self.sender.clone());
        self.kept.files = Some((files, watch));
    }

    /// The connection files of the controller, once it was ready.
    pub(super) fn connection_files(&self) -> Option<Arc<ConnectionFiles>> {
        self.kept.files.as_ref().map(|(files, _)| Arc::clone(files))
    }

    /// Others wrote over connection files, or removed them: they were put back, and who it was is said once.
    pub(super) fn files_changed(&mut self, changes: &[Change]) {
        let said = told_of(changes);
        for text in &said {
            let level = if self.kept.said.contains(text) {
                Level::Detail
            } else {
                Level::Warning
            };
            self.say(level, text.clone());
        }
        self.kept.said = said;
        self.publisher.touch();
    }

    /// The hub's list of engines changed: kept unless a hub that is being replaced has written it.
    pub(super) fn engines_listed(&mut self, list: EngineList) -> Event {
        let ids = list.ids();
        let at = self.console.elapsed();
        self.publisher.edit().engines.listed(at, &ids);
        self.hub.lists(&list, self.plan.engines);
        if self.machine.believes_the_hub() {
            self.kept.engines.follow(list);
        }
        Event::Registered(ids)
    }

    /// Starts controller or Jupyter again.
    pub(super) fn restart(&mut self, id: Unit) {
        let name = id.service();
        let Some(service) = self.plan.service(name) else {
            return;
        };
        self.publisher.edit().count_restart(name);
        let Some(process) = service.processes.first() else {
            return;
        };
        let mut process = process.clone();
        if name == Name::Controller {
            self.restore_wiring();
            process.args = controller_again(&process.args);
        }
        let mut service = service.clone();
        let spawned = self
            .renew_the_token(&mut service)
            .and_then(|()| write_carried(&service))
            .and_then(|()| self.ports_again(&service))
            .and_then(|given| self.children.spawn(&service, id, &process, given));
        match spawned {
            Ok(pid) => {
                self.say(Level::Detail, format!("{id} restarted (pid {pid})"));
                self.started(&service, &[(0, pid)]);
            }
            Err(failure) => self.spawn_failed(id, failure),
        }
    }

    /// Another token for a Jupyter whose port was free while nothing listened: a page that was open may have told the old one to
    /// whoever took it.
    fn renew_the_token(&mut self, service: &mut Service) -> Result<(), Failure> {
        let held = self.children.reservation.as_ref();
        let program = service.processes.first().map(|process| &process.program);
        let (Name::Jupyter, Some(Hold::Bound), Some(program)) =
            (service.name, held.map(|held| held.hold), program)
        else {
            return Ok(());
        };
        let given = self.plan.settings.jupyter_token_file.as_ref();
        let instead = given.map_or_else(String::new, |file| {
            format!(" in place of the one in {}", file.display())
        });
        self.kept.token = identity::token()?;
        self.children.hide(&self.kept.token);
        self.publisher.edit().forget_jupyter();
        let environment = &mut service.environment.set;
        environment.insert(TOKEN.to_owned(), self.kept.token.clone());
        self.say(
            Level::Warning,
            format!(
                "jupyter gets a new token{instead}, because its port was free for a moment ({} takes no socket from ipjob): `ipjob connect` and the record have it",
                program.display()
            ),
        );
        Ok(())
    }

    /// Starts one engine again.
    pub(super) fn replace(&mut self, engine: u32) {
        self.hub.forget(engine);
        self.start_unforked([engine]);
        if self.plan.launcher == Launcher::Srun {
            return self.replace_by_step(engine);
        }
        let id = Unit::Engine(engine);
        let process = self.plan.service(Name::Engines).and_then(|service| {
            let process = service.processes.get(engine as usize)?;
            Some((service, process))
        });
        let Some((service, process)) = process else {
            return;
        };
        self.publisher.edit().count_restart(Name::Engines);
        match self.children.spawn(service, id, process, Given::default()) {
            Ok(pid) => {
                self.say(Level::Detail, format!("{id} restarted (pid {pid})"));
                let _ = self.engine_reported(Report {
                    rank: engine,
                    node: self.plan.incarnation.host.clone(),
                    pid,
                    step: self.own_step(),
                    memory: None,
                    share: self.plan.shares.of(engine),
                });
            }
            Err(failure) => self.spawn_failed(id, failure),
        }
    }

    /// The files that the controller reads at its start, as they were when the one before was well.
    fn restore_wiring(&mut self) {
        let profile = &self.plan.profile;
        if let Some(files) = self.connection_files()
            && let Some(changes) = within(LOOK, move || files.look())
        {
            self.files_changed(&changes);
        }
        // What the hub wrote last may not have been read: ipjob itself may have stood still. A list that a hub reads is not taken,
        // it grows again from nothing.
        let last = fs::read_to_string(profile.engines_list()).ok();
        if let (false, Some(list)) = (
            self.kept.restored,
            last.as_deref().and_then(EngineList::read),
        ) {
            self.kept.engines.follow(list);
        }
        self.kept.restored = true;
        let path = profile.engines_list();
        let engines = self.kept.engines.without(&self.machine.lost_engines());
        let there = fs::read_to_string(&path).is_ok_and(|there| there == engines);
        if !there && let Err(error) = files::replace(&path, engines.as_bytes()) {
            let text = format!("{} cannot be restored: {error}", path.display());
            self.say(Level::Warning, text);
        }
    }

    /// A service is not started again.
    pub(super) fn give_up(&mut self, unit: Unit) {
        if unit == Unit::Jupyter {
            self.children.reservation = None;
            self.publisher.edit().forget_jupyter();
        }
    }
}

/// What others did to connection files, in one line for all that they did in the same way.
fn told_of(changes: &[Change]) -> Vec<String> {
    let mut told: Vec<(&Found, Vec<&str>)> = Vec::new();
    for change in changes.iter().filter(|change| change.restored.is_ok()) {
        match told.iter_mut().find(|(found, _)| *found == &change.found) {
            Some((_, files)) => files.push(&change.file),
            None => told.push((&change.found, vec![&change.file])),
        }
    }
    let done = told.into_iter().map(|(found, files)| {
        let were = if files.len() > 1 { "were" } else { "was" };
        let what = match found {
            Found::Nothing => "removed".to_owned(),
            Found::Other => "changed".to_owned(),
            Found::Foreign { told, process } => {
                let who = process.clone().unwrap_or_else(|| {
                    let place = format!("{} on {}", told.address, told.location);
                    printable(&format!("one that listens on {place}"))
                });
                format!("overwritten by another controller, {who}")
            }
        };
        format!(
            "{} {were} {what}: put back as the files of this job's controller; another cluster needs a cluster_id or a profile of its own",
            files.join(" and ")
        )
    });
    let failed = changes.iter().filter_map(|change| {
        let error = change.restored.as_ref().err()?;
        Some(format!("{} cannot be put back: {error}", change.file))
    });
    done.chain(failed).collect()
}

/// The longest request, in bytes.
const LONGEST: u64 = 4096;

/// Looks again and again whether the user asks for something (`ipjob restart`), in a file of the life's private directory, which ipjob makes at
/// its start and `ipjob restart` writes over, so that each look opens what is there: a file system over the network shows a new file late,
/// and what is in an old one at once. The answer stands in the record.
pub fn watch(plan: &Plan, sender: Sender) {
    let path = plan.profile.request();
    let life = plan.incarnation.id.clone();
    file_thread::spawn(async move {
        let mut last = None;
        while !sender.is_closed() {
            calm_pause().await;
            // What is not there, not ours alone or half written says nothing.
            let text = files::read_private(&path, LONGEST).unwrap_or_default();
            let Some(Request { id, all }) = Request::read(&text, &life) else {
                continue;
            };
            if last.as_ref() == Some(&id) {
                continue;
            }
            last = Some(id.clone());
            let event = Event::RestartAsked { request: id, all };
            let _ = sender.send(Notice::Event(event));
        }
    });
}

/// In which ways the engines of this plan can be started again.
pub(super) fn startable(plan: &Plan) -> Startable {
    match plan.launcher {
        Launcher::Local => Startable {
            each: true,
            together: false,
        },
        Launcher::Srun | Launcher::Mpiexec => Startable {
            each: plan.replacement.is_some(),
            together: true,
        },
        Launcher::Ranks => Startable::default(),
    }
}

impl Supervisor<'_> {
    /// The record tells what has become of a request.
    pub(super) fn answer(&mut self, request: String, answer: Answer) {
        let (state, text) = match answer {
            Answer::Running => (RequestState::Running, None),
            Answer::Done(text) => (RequestState::Done, Some(text)),
            Answer::Failed(text) => (RequestState::Failed, Some(text)),
        };
        if let Some(text) = &text {
            self.console
                .step(&format!("`ipjob restart` {}: {text}", state.word()));
        }
        self.publisher.edit().request = record::Request {
            id: RequestId::ours(request),
            state,
            text: text.map(record::Text::ours).into(),
        }
        .into();
        self.publisher.hasten();
    }
}
