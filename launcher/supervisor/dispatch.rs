//! Taking notices: each becomes an event of the machine's, or is seen to at once. No decision is made here.

use super::Supervisor;
use super::event::{End, Event};
use super::notice::Notice;

impl Supervisor<'_> {
    /// Takes one notice; tells the end once there is one.
    pub(super) fn handle(&mut self, notice: Notice) -> Option<End> {
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
            Notice::RecordWritten { took, written } => {
                self.record_written(took, written);
                return None;
            }
            Notice::LogCut(path) => {
                self.say_cut(&path);
                return None;
            }
            Notice::HeldAreDue => return self.carry_out_held(),
            Notice::ForkingSaid(said) => self.forking_said(said)?,
            Notice::ForkingIsSilent => {
                self.forking_is_silent();
                return None;
            }
            Notice::NotForked(told) => {
                self.say_exec(&told.to_string());
                return None;
            }
            Notice::StopRequested { by, personal } => {
                let event = self.stop_requested(by, personal);
                self.tenure.unless_superseded(event)
            }
            Notice::ControllerWired(wired) => self.controller_wired(wired),
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
        let mut end = None;
        for effect in self.machine.on(event) {
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
