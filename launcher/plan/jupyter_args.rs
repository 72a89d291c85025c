//! Jupyter arguments that ipjob owns: it chooses or keeps secret what they set, so a user's own would break the record.

use crate::failure::{Failure, Outcome};

/// Why a password is no argument: every user can read argv, and what is hashed there can be guessed at leisure.
const PASSWORD: &str = "the login form takes the token of --jupyter-token-file; a password in a configuration file is accepted beside the token";

/// Option names (without their class) that ipjob owns, and why.
const OWNED: &[(&str, &str)] = &[
    (
        "port",
        "ipjob chooses a free port; set it with --jupyter-port or --port-range",
    ),
    (
        "port_retries",
        "the record and the tunnel name the port that ipjob chose: nobody would find Jupyter on another",
    ),
    (
        "port-retries",
        "the record and the tunnel name the port that ipjob chose: nobody would find Jupyter on another",
    ),
    ("ip", "ipjob binds the one address that is needed"),
    (
        "sock",
        "the record has host and port, and a Unix socket has neither",
    ),
    (
        "token",
        "ipjob keeps the token out of every argv; give one with --jupyter-token-file",
    ),
    ("password", PASSWORD),
    ("hashed_password", PASSWORD),
    ("password_required", PASSWORD),
    (
        "certfile",
        "the record's url is http; use an ssh tunnel for encryption",
    ),
    (
        "keyfile",
        "the record's url is http; use an ssh tunnel for encryption",
    ),
    (
        "client_ca",
        "the record's url is http; use an ssh tunnel for encryption",
    ),
    (
        "client-ca",
        "the record's url is http; use an ssh tunnel for encryption",
    ),
    ("generate-config", "it ends Jupyter at once"),
];

/// Classes whose options are the server's own.
const CLASSES: &[&str] = &[
    "ServerApp",
    "NotebookApp",
    "LabApp",
    "JupyterNotebookApp",
    "IdentityProvider",
    "PasswordIdentityProvider",
];

/// Refuses, by name, an argument that ipjob owns.
pub fn check(args: &[String]) -> Outcome<()> {
    for arg in args {
        let Some(option) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
            continue;
        };
        let name = option.split('=').next().unwrap_or(option);
        let bare = match name.split_once('.') {
            Some((class, bare)) if CLASSES.contains(&class) => bare,
            Some(_) => continue,
            None => name,
        };
        if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == bare) {
            return Err(
                Failure::usage(format!("the Jupyter argument `--{name}` is set by ipjob"))
                    .hint(format!("leave it out: {why}")),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arg: &str) -> bool {
        check(&[arg.to_owned()]).is_err()
    }

    #[test]
    fn owned_arguments_are_refused_in_every_spelling() {
        for arg in [
            "--port=1",
            "--port",
            "--ServerApp.port=1",
            "--NotebookApp.token=x",
            "--IdentityProvider.token=x",
            "--ip",
            "--ServerApp.sock=/x",
            "--certfile=x",
        ] {
            assert!(refused(arg), "{arg}");
        }
    }

    #[test]
    fn other_arguments_pass() {
        for arg in [
            "--ServerApp.base_url=/x",
            "--debug",
            "port",
            "--MyApp.port=3",
            "--LabApp.collaborative=True",
        ] {
            assert!(!refused(arg), "{arg}");
        }
    }
}
