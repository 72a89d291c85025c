//! Arguments of ipcontroller and ipengine that ipjob owns: it looks for what they move or change, so a user's own would leave it
//! waiting for files, addresses or processes that are elsewhere.

use crate::failure::{Failure, Outcome};

const PROFILE: &str =
    "ipjob makes, locks and clears the profile; choose it with --profile and --ipython-dir";
const NAMES: &str =
    "ipjob knows the connection files by their names, and gives each life of a job its own";
const ADDRESS: &str = "all peers must reach the one address of the record; set it with --address";
const KEY: &str = "ipjob makes the key and keeps it out of every argv";
const CURVE: &str =
    "ipjob makes the key pair and keeps it out of every argv; set encryption with --curve";
const MPI: &str = "launcher and engines must agree on one MPI world; set it with --mpi";

/// Options of ipcontroller that ipjob owns, without their class, and why.
const CONTROLLER: &[(&str, &str)] = &[
    ("cluster-id", NAMES),
    ("cluster_id", NAMES),
    ("client_json_file", NAMES),
    ("engine_json_file", NAMES),
    ("ip", ADDRESS),
    ("location", ADDRESS),
    (
        "reuse",
        "a stale connection file would be taken for this start's, with a key that is not ours",
    ),
    (
        "reuse_files",
        "a stale connection file would be taken for this start's, with a key that is not ours",
    ),
    (
        "ports",
        "set the controller's ports with --controller-ports",
    ),
    ("key", KEY),
    ("keyfile", KEY),
    ("enable_curve", CURVE),
    ("curve_publickey", CURVE),
    ("curve_secretkey", CURVE),
];

/// Options of ipengine that ipjob owns, without their class, and why.
const ENGINE: &[(&str, &str)] = &[
    ("cluster-id", NAMES),
    ("cluster_id", NAMES),
    ("file", NAMES),
    ("url_file", NAMES),
    ("url_file_name", NAMES),
    (
        "id",
        "ipjob gives every engine the id of its rank; all engines get the same --engine-arg",
    ),
    ("mpi", MPI),
    ("use_mpi", MPI),
    ("key", KEY),
    ("keyfile", KEY),
];

/// Classes whose options are meant above; the same name in another class is another option.
const CLASSES: &[&str] = &[
    "IPController",
    "IPEngine",
    "IPEngineApp",
    "IPControllerApp",
    "BaseParallelApplication",
    "Session",
    "Hub",
    "HubFactory",
];

/// Short names of ipyparallel's for options that ipjob gives as well, and their long ones: the same option by both is one that is
/// given twice.
const SHORT: &[(&str, &str)] = &[
    ("--ping", "--HeartMonitor.period"),
    ("--timeout", "--IPEngine.timeout"),
];

/// The name of the option that an argument gives, the long one where there are two.
#[must_use]
pub fn name(arg: &str) -> &str {
    let given = arg.split('=').next().unwrap_or_default();
    let short = SHORT.iter().find(|(short, _)| *short == given);
    short.map_or(given, |(_, long)| long)
}

/// Refuses, by name, arguments of the controller that ipjob owns.
pub fn check_controller(args: &[String]) -> Outcome<()> {
    check("--controller-arg", args, |bare| {
        let own = CONTROLLER.iter().find(|(owned, _)| *owned == bare);
        // `engine_ip`, `client_ip`: an address of one part alone.
        let address = bare.ends_with("_ip").then_some(ADDRESS);
        own.map(|(_, why)| *why).or(address)
    })
}

/// Refuses, by name, arguments of the engines that ipjob owns.
pub fn check_engines(args: &[String]) -> Outcome<()> {
    check("--engine-arg", args, |bare| {
        let own = ENGINE.iter().find(|(owned, _)| *owned == bare);
        own.map(|(_, why)| *why)
    })
}

fn check(option: &str, args: &[String], why: impl Fn(&str) -> Option<&'static str>) -> Outcome<()> {
    for arg in args {
        let Some(given) = arg.strip_prefix("--") else {
            continue;
        };
        let name = given.split('=').next().unwrap_or(given);
        let reason = match name.split_once('.') {
            Some(("ProfileDir", _)) => Some(PROFILE),
            Some((class, bare)) if CLASSES.contains(&class) => {
                why(bare).or_else(|| of_profile(bare))
            }
            Some(_) => None,
            None => why(name).or_else(|| of_profile(name)),
        };
        if let Some(reason) = reason {
            return Err(Failure::usage(format!("{option} --{name} is set by ipjob"))
                .hint(format!("leave it out: {reason}")));
        }
    }
    Ok(())
}

/// `--profile`, `--profile-dir` and their kin.
fn of_profile(bare: &str) -> Option<&'static str> {
    bare.starts_with("profile").then_some(PROFILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controllers_owned_arguments_are_refused_in_every_spelling() {
        for arg in [
            "--cluster-id=x",
            "--BaseParallelApplication.cluster_id=x",
            "--profile=x",
            "--profile",
            "--profile-dir=/x",
            "--ProfileDir.location=/x",
            "--ip=*",
            "--IPController.ip=0.0.0.0",
            "--IPController.engine_ip=0.0.0.0",
            "--location=x",
            "--reuse",
            "--IPController.reuse_files=True",
            "--ports=1-100",
            "--Session.key=x",
        ] {
            let failure = check_controller(&[arg.to_owned()]).expect_err(arg);
            let name = arg.split('=').next().unwrap_or_default();
            assert!(failure.message.contains(name), "{failure}");
            assert_eq!(failure.hints.len(), 1, "{arg}");
        }
    }

    #[test]
    fn the_engines_owned_arguments_are_refused_in_every_spelling() {
        for arg in [
            "--profile-dir=/x",
            "--file=/x",
            "--IPEngine.url_file=/x",
            "--cluster-id=x",
            "--IPEngine.id=3",
            "--mpi",
            "--IPEngine.use_mpi=True",
        ] {
            assert!(check_engines(&[arg.to_owned()]).is_err(), "{arg}");
        }
    }

    #[test]
    fn an_option_has_one_name() {
        for (arg, expected) in [
            ("--ping=250", "--HeartMonitor.period"),
            ("--ping", "--HeartMonitor.period"),
            ("--timeout=9", "--IPEngine.timeout"),
            ("--IPEngine.timeout=9", "--IPEngine.timeout"),
            ("--pin=1", "--pin"),
            ("250", "250"),
            ("", ""),
        ] {
            assert_eq!(name(arg), expected, "{arg}");
        }
    }

    #[test]
    fn other_arguments_pass() {
        let pass = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let args = pass(&[
            "--HeartMonitor.period=1000",
            "--nodb",
            "--IPController.registration_timeout=60",
            "--ZMQInteractiveShell.ip=x",
            "ip",
        ]);
        assert_eq!(check_controller(&args), Ok(()));
        let args = pass(&["--IPEngine.timeout=9", "--IPEngine.startup_command=1", "-c"]);
        assert_eq!(check_engines(&args), Ok(()));
    }
}
