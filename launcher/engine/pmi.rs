//! What an MPI launcher has given this task, by which its engine finds its world, and whether a fork can be given the same.
//!
//! Variables reach a fork as they reach a program that a task becomes. That is all of `PMIx` (a client connects to the server that they
//! name, which asks for its user and no process id), and of PMI over TCP. PMI 1 and 2, of Slurm and of Hydra, are a connected socket besides,
//! whose number is in `PMI_FD`.
//!
//! docs/design/fork.md explains the design.

use crate::here::site::mpi_launcher::is_open_socket;
use std::os::fd::RawFd;

/// The variable with the number of the socket.
pub const SOCKET: &str = "PMI_FD";

/// Variables of which one alone lets a client find its launcher.
const BY_VARIABLES: [&str; 2] = ["PMIX_NAMESPACE", "PMI_PORT"];

/// The socket that a fork needs besides the variables, if any; else why a fork would not find the world that its engine is to see.
pub fn socket(
    in_world: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<RawFd>, String> {
    let number = variable(SOCKET).filter(|number| is_open_socket(number));
    if let Some(number) = number.and_then(|number| number.parse().ok()) {
        return Ok(Some(number));
    }
    if in_world && !BY_VARIABLES.iter().any(|name| variable(name).is_some()) {
        return Err(format!(
            "its MPI launcher gave it neither an open {SOCKET} nor {}, and ipjob knows no other way to hand an MPI world to a fork",
            BY_VARIABLES.join(" nor ")
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::socket;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_fork_gets_the_socket_or_variables_that_are_enough_or_none_is_made() {
        let (open, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let number = open.as_raw_fd();
        for (name, value, in_world, outcome) in [
            ("PMI_FD", number.to_string(), true, Some(Some(number))),
            // Without a world an engine can still initialise MPI later, by itself.
            ("PMI_FD", number.to_string(), false, Some(Some(number))),
            ("PMI_FD", "99999".to_owned(), true, None),
            (
                "PMIX_NAMESPACE",
                "slurm.pmix.1.0".to_owned(),
                true,
                Some(None),
            ),
            ("PMI_PORT", "node1:4711".to_owned(), true, Some(None)),
            // Cray's.
            ("PMI_CONTROL_PORT", "4711".to_owned(), true, None),
            ("PMI_CONTROL_PORT", "4711".to_owned(), false, Some(None)),
        ] {
            let variable = |wanted: &str| (wanted == name).then(|| value.clone());
            assert_eq!(socket(in_world, variable).ok(), outcome, "{name}={value}");
        }
    }
}
