//! What a child's environment has that ours has not, and the reverse.
//!
//! Leftovers redirect Python programs in silence: IPP_* names another controller, JUPYTER_* and JPY_* come from the Jupyter
//! terminal that ipjob was typed into (those of a hub's user's server with an API token), PMI_* makes a single engine wait for an MPI world that is not there.

use super::incarnation::{INCARNATION_VARIABLE, SERVICE_VARIABLE};
use super::name::Name;
use super::profile::RUNTIME;
use super::service::Environment;
use super::services::Context;
use super::text::Text;
use std::path::Path;

/// The profile's name for `ipp.Client(profile=...)` in kernels and drivers. Not an option's variable, so that it cannot leak
/// into a next job's options.
pub const CLIENT_PROFILE_VARIABLE: &str = "IPJOB_CLIENT_PROFILE";

/// The record's path for the command of `--on-ready`: `IPJOB_RECORD` would be an option of an ipjob that it starts.
pub const READY_RECORD: &str = "IPJOB_READY_RECORD";

/// Jupyter's address, with the token, for the same command.
pub const READY_URL: &str = "IPJOB_READY_URL";

/// The module that an `IPython` in the job's Jupyter begins with.
pub const STARTUP: &str = "startup";

/// The file that Python and IPython begin with, when a person uses them.
const PYTHON_STARTUP: &str = "PYTHONSTARTUP";

/// Where `jupyter/startup.py` finds the user's own such file.
pub const USERS_STARTUP: &str = "IPJOB_PYTHONSTARTUP";

/// Variables that tell Jupyter where it is installed and configured: the user's own, kept.
const JUPYTER_KEPT: &[&str] = &[
    // On file systems without permissions no Jupyter starts without it.
    "JUPYTER_ALLOW_INSECURE_WRITES",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_CONFIG_PATH",
    "JUPYTER_DATA_DIR",
    "JUPYTER_NO_CONFIG",
    "JUPYTER_PATH",
    "JUPYTER_PLATFORM_DIRS",
    "JUPYTER_PREFER_ENV_PATH",
    "JUPYTER_USE_ENV_PATH",
];

/// Where `jupyter/closed.py` finds the path before all pages: argv is everybody's.
const PATH: &str = "IPJOB_JUPYTER_PATH";

/// Where Jupyter finds its token.
pub const TOKEN: &str = "JUPYTER_TOKEN";

/// Variables of an MPI launcher that do not hold for a process started without one. Open MPI's mpirun forbids by one of its own
/// parameters (`OMPI_MCA_ess=^singleton`) what a single engine needs. `HYDRA_` is not among them: with that, Slurm 24.05 and later
/// tell mpiexec in every job how to start its steps.
const MPI_PREFIXES: &[&str] = &[
    "PMI_",
    "PMIX_",
    "HYDI_",
    "MPI_LOCAL",
    "OMPI_COMM_WORLD_",
    "OMPI_MCA_ess",
    "OMPI_MCA_orte_",
];

/// The environment of one service.
#[must_use]
pub fn of(name: Name, context: &Context) -> Environment {
    let mut set = std::collections::BTreeMap::new();
    let mut plain = |variable: &str, text: &str| {
        set.insert(variable.to_owned(), Text::Plain(text.to_owned()));
    };
    plain(INCARNATION_VARIABLE, &context.incarnation.id);
    plain(SERVICE_VARIABLE, name.word());
    plain("IPYTHONDIR", &utf8(&context.profile.ipython_dir));
    if matches!(name, Name::Jupyter | Name::Driver) {
        plain(CLIENT_PROFILE_VARIABLE, context.profile.name.as_str());
        // For who types `ipjob status` in a terminal of Jupyter's: behind all else, so that it takes no other program's place.
        if let Some(directory) = &context.here.own_directory {
            let path = |(name, _): &&(String, String)| name == "PATH";
            let before = context.here.environment.iter().find(path);
            if let Some((_, before)) = before.filter(|(_, value)| is_whole(value)) {
                plain("PATH", &format!("{before}:{}", directory.display()));
            }
        }
    }
    if name == Name::Jupyter {
        plain(USERS_STARTUP, users_startup(&context.here.environment));
        plain(PYTHON_STARTUP, &utf8(&context.profile.module(STARTUP)));
        plain(
            "JUPYTER_RUNTIME_DIR",
            &utf8(&context.profile.jupyter_runtime()),
        );
        set.insert(TOKEN.to_owned(), context.secrets.token.clone());
        if context
            .here
            .jupyter
            .as_ref()
            .is_some_and(|jupyter| jupyter.python.is_some())
        {
            let path = Text::Secret(context.secrets.path.clone());
            set.insert(PATH.to_owned(), path);
        }
    }
    if name == Name::Controller && context.encrypted {
        let pair = &context.secrets.curve;
        set.insert("IPP_ENABLE_CURVE".to_owned(), Text::Plain("1".to_owned()));
        set.insert("IPP_CURVE_PUBLICKEY".to_owned(), pair.public.clone());
        set.insert("IPP_CURVE_SECRETKEY".to_owned(), pair.secret.clone());
    }
    let mut dropped: Vec<String> = context
        .here
        .environment
        .iter()
        .map(|(variable, _)| variable)
        .filter(|variable| is_leftover(variable) && !set.contains_key(*variable))
        .cloned()
        .collect();
    let has_runtime_dir = context
        .here
        .environment
        .iter()
        .any(|(variable, _)| variable == "XDG_RUNTIME_DIR");
    if has_runtime_dir && !context.here.runtime_dir_is_ours {
        dropped.push("XDG_RUNTIME_DIR".to_owned());
    }
    dropped.sort();
    Environment {
        set,
        dropped,
        ..Environment::default()
    }
}

/// The file that the user's own Pythons begin with. In a terminal of a job's Jupyter the variable names that job's module, which would run
/// itself for ever: the user's own is beside it.
fn users_startup(environment: &[(String, String)]) -> &str {
    let given = |wanted: &str| {
        let mut pairs = environment.iter();
        pairs
            .find(|(name, _)| name == wanted)
            .map_or("", |(_, value)| value.as_str())
    };
    match given(PYTHON_STARTUP) {
        module if is_ours(Path::new(module)) => given(USERS_STARTUP),
        own => own,
    }
}

/// Whether a file is in a directory that ipjob makes for a job.
fn is_ours(file: &Path) -> bool {
    let directory = file.parent().and_then(Path::file_name);
    directory.is_some_and(|name| name.to_string_lossy().starts_with(RUNTIME))
}

/// Whether a variable would change what a service does without anybody's having asked for it.
#[must_use]
pub fn is_leftover(variable: &str) -> bool {
    variable.starts_with("IPP_")
        || variable.starts_with("JPY_")
        || variable.starts_with("JUPYTERHUB_")
        || (variable.starts_with("JUPYTER_") && !JUPYTER_KEPT.contains(&variable))
        || is_of_mpi(variable)
}

/// Whether an MPI launcher set this variable for the processes that it started.
#[must_use]
pub fn is_of_mpi(variable: &str) -> bool {
    // Parameters of the PMIx library are the user's own.
    !variable.starts_with("PMIX_MCA_")
        && MPI_PREFIXES
            .iter()
            .any(|prefix| variable.starts_with(prefix))
}

/// Whether a variable's text is what it is: what is no Unicode in it was replaced.
fn is_whole(value: &str) -> bool {
    !value.contains(char::REPLACEMENT_CHARACTER)
}

/// A path of the profile as text: settings take only Unicode paths, so nothing is lost.
fn utf8(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_startup_file_is_handed_on_from_job_to_job() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect();
            users_startup(&pairs).to_owned()
        };
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("PYTHONSTARTUP", "/home/a/own.py")]), "/home/a/own.py");
        // In a terminal of another job's Jupyter, with and without one of the user's.
        let outer = (
            "PYTHONSTARTUP",
            "/home/a/.ipython/profile_job_1/ipjob-runtime-2/startup.py",
        );
        assert_eq!(
            of(&[outer, ("IPJOB_PYTHONSTARTUP", "/home/a/own.py")]),
            "/home/a/own.py"
        );
        assert_eq!(of(&[outer, ("IPJOB_PYTHONSTARTUP", "")]), "");
        assert_eq!(of(&[outer]), "");
    }

    #[test]
    fn leftovers_are_told_from_the_users_own() {
        for leftover in [
            "IPP_CONNECTION_INFO",
            "IPP_CLUSTER_ID",
            "JUPYTER_TOKEN",
            "JUPYTER_PORT",
            "JUPYTER_GATEWAY_URL",
            "JPY_PARENT_PID",
            "JPY_API_TOKEN",
            "JUPYTERHUB_API_TOKEN",
            "PMI_RANK",
            "PMIX_NAMESPACE",
            "OMPI_MCA_ess",
        ] {
            assert!(is_leftover(leftover), "{leftover}");
        }
        for own in [
            "JUPYTER_PATH",
            "JUPYTER_ALLOW_INSECURE_WRITES",
            "JUPYTER_CONFIG_DIR",
            "SLURM_JOB_ID",
            "PATH",
            "IPYTHONDIR",
            "OMP_NUM_THREADS",
            "OMPI_MCA_btl",
            "PMIX_MCA_psec",
            "HYDRA_BOOTSTRAP",
        ] {
            assert!(!is_leftover(own), "{own}");
        }
    }
}
