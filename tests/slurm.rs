//! Inside a real Slurm job? A cluster with two nodes, a login node and two users runs on this machine (tests/lab).

mod address;
mod beyond;
mod bind;
mod cancel;
mod cells;
mod engines;
mod failures;
mod fork;
mod healing;
mod idle;
mod interrupted;
mod lasting;
mod late;
mod memory;
mod mpi;
mod others;
mod outage;
mod places;
mod power;
mod preemption;
mod quota;
mod respawn;
mod step_manager;
mod threads;
mod time;
mod within;

use crate::support::Lab;

/// What a client of the job sees of the engines: their ids, with `$` put in the place of the profile's name.
const CLIENT: &str = "
import ipyparallel as ipp, json
from IPython.core.interactiveshell import InteractiveShell
rc = ipp.Client(profile='$', timeout=30)
shell = InteractiveShell.instance()
shell.run_line_magic('load_ext', 'ipyparallel')
rc.activate(targets='all')
";

/// Runs a `%%px` cell on all engines of a job, from a client on this machine, and returns what the engines then have under
/// these names, in the order of their ids, after the ids.
fn px(lab: &Lab, machine: &str, profile: &str, cell: &str, names: &[&str]) -> serde_json::Value {
    let code = CLIENT.replace('$', profile);
    let code = format!(
        "{code}shell.run_cell_magic('px', '--no-stream', {cell:?})\nprint(json.dumps([rc.ids] + [rc[:][n] for n in {names:?}]))"
    );
    let text = lab.python(machine, &code);
    // A cell may print of its progress before.
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}
