//! The services of a plan, one function each.

mod binding;
mod controller;
mod driver;
mod engine_command;
mod engines;
mod fork;
mod jupyter;
mod mpiexec;
mod on_ready;
pub mod ranks;
mod respawn;
mod srun;
pub mod srun_variables;
mod unforked;

pub use binding::{cannot_bind, shares};
pub use controller::{controller, controller_again};
pub use driver::driver;
pub use engine_command::{
    CONFIG_FILE, NO_NANNY, PRELOAD, PRELOAD_VARIABLE, WITHOUT_PRELOAD, tells_its_world,
};
pub use engines::{CONNECTION_INFO, engines};
pub use fork::{Creation, Forked, NOT_FORKED, Said, creation, fork};
pub use jupyter::jupyter;
pub use on_ready::{OnReady, on_ready};
pub use respawn::{Before, Replacement, Succession, replacement};
pub use srun::{STEP_NAME, shared};
pub use unforked::{Unforked, unforked};

use super::allocation::Allocation;
use super::heartbeat::Heartbeat;
use super::incarnation::Incarnation;
use super::name::Name;
use super::profile::Profile;
use super::service::Carried;
use super::settings::Settings;
use super::wiring::Start;
use super::{Here, Secrets, bind, service_args, threads};
use core::time::Duration;

/// How a program takes the sockets on which ipjob listens for it.
const HANDED: &str = include_str!("../../handed.py");

/// What every service is planned from.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What was asked.
    pub settings: &'a Settings,
    /// What we were given.
    pub allocation: &'a Allocation,
    /// What this machine offers.
    pub here: &'a Here,
    /// What only this job's own processes may know.
    pub secrets: &'a Secrets,
    /// Where files go.
    pub profile: &'a Profile,
    /// Which life of ipjob this is.
    pub incarnation: &'a Incarnation,
    /// How the start goes.
    pub start: Start,
    /// Whether all that passes the controller's ports is encrypted.
    pub encrypted: bool,
    /// How many engines are expected.
    pub engines: u32,
    /// The fewest that are accepted.
    pub minimum: u32,
    /// How often engines are asked for a sign of life.
    pub heartbeat: Heartbeat,
    /// Whether each engine has a nanny.
    pub nanny: bool,
    /// Whether ipjob can send signals to engines in the place of nannies.
    pub signals_ours: bool,
    /// What each engine is bound to by ipjob.
    pub bind: Option<bind::Rule>,
    /// How many threads each engine gets; `None` where ipjob does not tell it.
    pub threads: Option<threads::Rule>,
}

impl Context<'_> {
    /// `--profile-dir=DIR`, which all programs of ipyparallel take.
    fn profile_dir_argument(&self) -> String {
        format!("--profile-dir={}", self.profile.dir.display())
    }

    /// `--cluster-id=ipjob0`, which controller and engines must agree on.
    fn cluster_id_argument(&self) -> String {
        format!("--cluster-id={}", self.profile.cluster_id())
    }

    /// What programs of ours import by this name.
    fn module(&self, name: &str, text: &'static str) -> Carried {
        Carried {
            path: self.profile.module(name),
            text,
        }
    }

    /// What engines and Jupyter wait for: nothing, where ipjob has made the wiring already.
    fn after(&self) -> Vec<Name> {
        match self.start {
            Start::Overlapped => Vec::new(),
            Start::Sequential => vec![Name::Controller],
        }
    }

    /// A service's share of the stop: engines may have work to put down, Jupyter kernels to end; the controller has nothing.
    fn stop_limit(&self, name: Name) -> Duration {
        self.settings.stop
            * match name {
                Name::Jupyter | Name::Driver | Name::Engines => 4,
                Name::Controller => 2,
            }
            / 10
    }
}

/// Our defaults, then what the user gives. Programs of ipyparallel refuse an option that is given twice, so a default gives
/// way to the user's own; what ipjob relies on is no default, and stays refused.
fn with_users(defaults: Vec<String>, given: &[String]) -> Vec<String> {
    let given_names: Vec<&str> = given.iter().map(|arg| service_args::name(arg)).collect();
    defaults
        .into_iter()
        .filter(|arg| !given_names.contains(&service_args::name(arg)))
        .chain(given.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::with_users;

    #[test]
    fn a_default_gives_way_to_the_users_own() {
        let defaults = [
            "--HeartMonitor.period=250",
            "--IPController.registration_timeout=60",
        ]
        .map(str::to_owned);
        let given = ["--HeartMonitor.period=1000", "--nodb"].map(str::to_owned);
        assert_eq!(
            with_users(defaults.to_vec(), &given),
            [
                "--IPController.registration_timeout=60",
                "--HeartMonitor.period=1000",
                "--nodb"
            ]
        );
        let short = ["--ping".to_owned(), "1000".to_owned()];
        assert_eq!(
            with_users(defaults.to_vec(), &short),
            ["--IPController.registration_timeout=60", "--ping", "1000"]
        );
    }
}
