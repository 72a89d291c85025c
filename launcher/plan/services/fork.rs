//! Engines as forks of one Python.

use super::{Context, engines};
use crate::plan::service::{Name, Process};
use crate::plan::settings::{EngineStart, Launcher};
use serde::Serialize;

/// An engine as the program that forks it reads of it.
#[derive(Debug, Serialize)]
pub struct Forked<'a> {
    /// The id that it asks the hub for.
    pub id: u32,
    /// Where its output goes: a file that is there.
    pub log: &'a std::path::Path,
}

/// What the program that forks them tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It forked an engine.
    Engine {
        /// Its id.
        id: u32,
        /// Its process id.
        pid: u32,
    },
    /// It forks none, because of this.
    Exec(String),
}

impl Said {
    /// Reads a line of it: `engine 3 pid 117`, `exec 2 threads run`.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        if let Some(why) = line.strip_prefix("exec ") {
            return Some(Self::Exec(why.to_owned()));
        }
        let words: Vec<&str> = line.split(' ').collect();
        let ["engine", id, "pid", pid] = words[..] else {
            return None;
        };
        Some(Self::Engine {
            id: id.parse().ok()?,
            pid: pid.parse().ok()?,
        })
    }
}

/// The one program that becomes all engines, where that was asked for and can be. It runs the script `ipengine` with the same
/// arguments as each engine of its own would.
pub fn fork(context: &Context, launcher: Launcher, remarks: &mut Vec<String>) -> Option<Process> {
    if context.settings.engine_start == EngineStart::Exec {
        return None;
    }
    if launcher != Launcher::Local {
        remarks.push(format!(
            "engines are started one by one: --engine-start fork is for --launcher local, not {launcher}"
        ));
        return None;
    }
    let Some(python) = context.here.engine_python.clone() else {
        remarks.push(format!(
            "engines are started one by one: the first line of {} names no Python to fork them",
            context.here.ipengine.display()
        ));
        return None;
    };
    let mut args = vec![
        context.profile.fork_program().display().to_string(),
        context.profile.fork_order().display().to_string(),
        context.here.ipengine.display().to_string(),
    ];
    args.extend(engines::arguments(context));
    Some(Process {
        program: python,
        args,
        log: context
            .profile
            .log_dir()
            .join(format!("ipjob-{}.log", Name::Engines)),
    })
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn what_the_forking_program_tells_is_read() {
        let engine = Said::Engine { id: 3, pid: 117 };
        assert_eq!(Said::read("engine 3 pid 117"), Some(engine));
        let exec = Said::Exec("2 threads run".to_owned());
        assert_eq!(Said::read("exec 2 threads run"), Some(exec));
        for other in ["", "engine x pid 1", "engine 3", "a line of somebody else"] {
            assert_eq!(Said::read(other), None, "{other}");
        }
    }
}
