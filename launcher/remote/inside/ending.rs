//! What is said of a session that has ended on its other side. PURE.

use super::place::Place;
use crate::failure::{Failure, Kind};
use crate::remote::job_state::State;
use crate::remote::jobs::Job;
use crate::remote::shell::LastWords;
use crate::remote::ssh;
use crate::remote::stop::note;
use crate::remote::target::Host;

/// The kind of the part that has the exit code of the session's step.
const CODE: &str = "code";

/// The end.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Where the session was.
    pub there: &'a Place,
    /// The host that led there.
    pub host: Option<&'a Host>,
    /// Whether its sshd has said anything.
    pub had_begun: bool,
    /// What was said last.
    pub words: &'a LastWords,
    /// The job afterwards, where it was found.
    pub job: Option<&'a Job>,
}

impl Ending<'_> {
    /// The failure that is told.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let Place { name, node, .. } = self.there;
        let code = self.words.parts.iter().find(|part| part.kind == CODE);
        let Some(code) = code.and_then(|part| part.words.trim().parse::<u8>().ok()) else {
            return self.connection_lost();
        };
        if let Some(job) = self.job.filter(|job| is_over(job)) {
            let state = job.state.word();
            return Failure::no_job(format!("job {name} is {state}: {}", note(job)));
        }
        // Slurm ends all steps at once, before ipjob has written anything.
        let line = self.job.and_then(|job| job.line.as_ref());
        if let Some(line) = line.filter(|line| line.is_ending()) {
            let state = &line.state;
            return Failure::no_job(format!("job {name} is ending: squeue says {state}"));
        }
        let words = ssh::words_of(&self.words.errors);
        if self.had_begun {
            return Failure::service(format!("the session on {node}, in job {name}, was ended"))
                .because(words);
        }
        let failure =
            Failure::missing(format!("no session can be opened on {node}, in job {name}"))
                .because(words);
        // Of a step that could not begin srun has another code.
        if code != Kind::Missing as u8 {
            return failure;
        }
        let number = &self.there.number;
        let srun = format!("srun --jobid={number} --overlap --nodelist={node} --pty bash");
        failure.hint(match self.host {
            Some(host) => format!(
                "a plain shell needs none of this: `ssh -t {} {srun}`",
                host.as_str()
            ),
            None => format!("a plain shell needs none of this: `{srun}`"),
        })
    }

    /// The script has not told of the end of its step.
    fn connection_lost(&self) -> Failure {
        match self.host {
            Some(host) if self.had_begun => {
                Failure::ssh(format!("the connection to {} was lost", host.as_str()))
                    .because(ssh::words_of(&self.words.errors))
            }
            Some(host) => ssh::failed(host.as_str(), &self.words.errors),
            None => Failure::missing("the shell that led to the job has ended")
                .because(ssh::words_of(&self.words.errors)),
        }
    }
}

fn is_over(job: &Job) -> bool {
    job.state.is_over() || matches!(job.state, State::Stopping | State::Pending)
}
