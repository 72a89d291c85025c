//! One engine of a step again, as a step of one task. PURE.

use super::engine_command::EngineCommand;
use super::{Context, binding, srun};
use crate::plan::World;
use crate::plan::bind::Rule;
use crate::plan::name::Name;
use crate::plan::profile::Profile;
use crate::plan::service::Process;
use crate::plan::settings::Launcher;
use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

/// Which engine a task becomes that is the only one of its step, and what it finds of the one before it: its argument of
/// `ipjob engine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The engine's id, which was its rank in the first step.
    pub id: u32,
    /// Which of that step's tasks on its node it was: scripts that choose a GPU go by it.
    pub local: u32,
    /// How many of them there were: alone in its step it has all that the job has there.
    pub tasks: u32,
    /// The process that was this engine before, which may still live: frozen, it never registers again.
    pub before: Before,
}

/// A process of an earlier step, on the same node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its process id.
    pub pid: u32,
    /// Its step, `123.0`.
    pub step: String,
}

impl fmt::Display for Succession {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Before { pid, step } = &self.before;
        write!(
            out,
            "{},{},{},{pid},{step}",
            self.id, self.local, self.tasks
        )
    }
}

impl FromStr for Succession {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(',').collect();
        let number = |word: &str| word.parse::<u32>().map_err(|_| "no number");
        let [id, local, tasks, pid, step] = words[..] else {
            return Err("not `ID,LOCAL,TASKS,PID,STEP`");
        };
        Ok(Self {
            id: number(id)?,
            local: number(local)?,
            tasks: number(tasks)?,
            before: Before {
                pid: number(pid)?,
                step: step.to_owned(),
            },
        })
    }
}

/// How one engine of the step is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    srun: PathBuf,
    options: Vec<String>,
    ipjob: PathBuf,
    command: EngineCommand,
}

/// How single engines are started again, where they are a step whose tasks do not end `together`.
pub fn replacement(context: &Context, launcher: Launcher, together: bool) -> Option<Replacement> {
    let single = launcher == Launcher::Srun && !together;
    let (slurm, srun) = (&context.allocation.slurm, &context.here.srun);
    let (Some(slurm), Some(srun), true) = (slurm, srun, single) else {
        return None;
    };
    if !slurm.components.is_empty() {
        // A step of one engine would have to be made in the component of its node.
        return None;
    }
    // All that the first step was told holds for this one too; what it is itself comes last, because srun takes the last word.
    let mut options = srun::shared(slurm);
    options.extend(binding::of_srun(context));
    options.extend(context.settings.srun_args.iter().cloned());
    // Where ipjob binds it, it chooses among all of the node's again, as it did before.
    if context.bind.is_none_or(|rule| rule == Rule::OwnGpus) {
        options.extend(srun::of_each_task(context, slurm));
    }
    options.extend(srun::of_world(&World::None));
    let of_one = [
        "--job-name=ipjob-engine",
        "--nodes=1",
        "--ntasks=1",
        "--ntasks-per-node=1",
    ];
    options.extend(of_one.map(str::to_owned));
    Some(Replacement {
        srun: srun.program.clone(),
        options,
        ipjob: srun.ipjob.clone(),
        command: EngineCommand::new(context, false),
    })
}

impl Replacement {
    /// The srun that starts this engine again on this node, with a log of its own.
    #[must_use]
    pub fn process(&self, profile: &Profile, node: &str, who: &Succession) -> Process {
        let mut args = self.options.clone();
        args.push(format!("--nodelist={node}"));
        let again = vec![format!("--again={who}")];
        args.extend(self.command.of_task(&self.ipjob, again, false));
        Process {
            program: self.srun.clone(),
            args,
            log: profile.log(Name::Engines, who.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_succession_survives_a_command_line() {
        let who = Succession {
            id: 4,
            local: 1,
            tasks: 2,
            before: Before {
                pid: 117,
                step: "12.0".to_owned(),
            },
        };
        assert_eq!(who.to_string().parse(), Ok(who));
        for other in ["", "4", "4,1,117,12.0", "4,1,2,x,12.0", "4,1,2,117,12.0,5"] {
            assert!(other.parse::<Succession>().is_err(), "{other}");
        }
    }
}
