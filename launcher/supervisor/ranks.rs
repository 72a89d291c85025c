//! The leader's side of the launcher `ranks`: the other ranks' engines are processes of the service like our own, only that
//! they are started, asked and killed by a word, and tell of their end by a file.

use super::Supervisor;
use super::event::{Event, Level};
use super::notice::Notice;
use super::probes;
use crate::here::os::guard;
use crate::plan::exit::RankEnd;
use crate::plan::name::Unit;
use crate::plan::rendezvous::Word;
use crate::plan::service::{Readiness, Service};
use std::collections::BTreeSet;
use std::io;

impl Supervisor<'_> {
    /// How many of a service's processes are started here: of ranks only our own.
    pub(super) fn processes_here(&self, service: &Service) -> usize {
        match (&self.meeting, &service.ready) {
            (Some(_), Readiness::Engines { .. }) => 1,
            _ => service.processes.len(),
        }
    }

    /// The step that we are a task of ourselves, as the other ranks tell it of themselves.
    pub(super) fn own_step(&self) -> Option<String> {
        let slurm = self.plan.allocation.slurm.as_ref()?;
        self.meeting.as_ref()?;
        Some(format!("{}.{}", slurm.job.number(), slurm.step.as_ref()?))
    }

    /// Watches which MPI world our own engine sees, where the ranks are to be one.
    pub(super) fn watch_own_world(&self, service: &Service) {
        let own = Unit::Engine(0);
        if let (Some(_), Some(log)) = (&self.plan.world, self.children.log(own)) {
            probes::ranks::watch_world(log.clone(), service.start_limit, self.sender.clone());
        }
    }

    /// Gives the other ranks the order to start theirs.
    pub(super) fn start_other_ranks(&mut self) {
        let (Some(meeting), Some(order)) = (&mut self.meeting, &self.plan.order) else {
            return;
        };
        let said = meeting.order(order);
        probes::ranks::watch(
            meeting.place().to_owned(),
            self.plan.engines,
            self.sender.clone(),
        );
        self.heard(said);
    }

    /// Asks the other ranks to end theirs. One that has not come yet will start none.
    pub(super) fn stop_other_ranks(&mut self, unit: Unit) {
        if unit != Unit::EngineGroup {
            return;
        }
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let said = meeting.say(Word::Stop);
        let engines = self.publisher.record().engines.list.iter();
        // What kills our guard has killed the other ranks as well: the sweep ends the engines that they leave.
        let come: BTreeSet<u32> = engines
            .map(|engine| engine.rank)
            .filter(|_| !guard::is_gone())
            .collect();
        for rank in (1..self.plan.engines).filter(|rank| !come.contains(rank)) {
            let event = Event::NeverStarted(Unit::Engine(rank));
            let _ = self.sender.send(Notice::Event(event));
        }
        self.heard(said);
    }

    /// Has the other ranks kill theirs.
    pub(super) fn kill_other_ranks(&mut self, unit: Unit) {
        if let (Unit::EngineGroup, Some(meeting)) = (unit, &mut self.meeting) {
            let said = meeting.say(Word::Kill);
            self.heard(said);
        }
    }

    /// Shows the other ranks that we run, and says the last word again, which they may not have been able to hear.
    pub(super) fn beat(&mut self) {
        if let Some(meeting) = &mut self.meeting {
            // Whether the home can be written is told with the record.
            let _ = meeting.beat();
        }
    }

    /// Another rank's engine ended.
    pub(super) fn rank_ended(&self, rank: u32, end: RankEnd) -> Event {
        let unit = Unit::Engine(rank);
        Event::Exited {
            unit,
            pid: end.pid,
            exit: end.exit,
            tail: self.children.tail(unit, super::children::CAUSE_LINES),
            memory: end.memory,
        }
    }

    /// A word that cannot be written reaches nobody: it is said again with the next beat. Asked to stop, the other ranks have heard it
    /// from who started them as well.
    fn heard(&mut self, said: io::Result<()>) {
        if let Err(error) = said {
            self.say(
                Level::Warning,
                format!("the other ranks cannot be reached yet: {error}"),
            );
        }
    }
}
