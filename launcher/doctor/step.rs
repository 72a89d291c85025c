//! Steps as ipjob itself starts them: without what another job left in the environment.

use crate::plan::services::srun_variables;
use crate::run;
use std::path::Path;
use std::process::Command;

/// An srun without arguments.
pub fn srun(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in srun_variables::dropped(&run::environment(), None) {
        command.env_remove(name);
    }
    command
}
