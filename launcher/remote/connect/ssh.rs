//! The command lines of ssh. PURE.
//!
//! It is the user's own ssh with the user's own configuration; what is overruled is what would disturb a tunnel that a program watches.

use crate::report::dry_run::quoted;
use std::path::Path;

/// What the ssh to a compute node prints once it is logged in.
pub const OPEN: &str = "ipjob-open";

fn words(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// What every ssh that stays has, besides the options of every ssh: a control socket of its own.
fn master(options: &[&str], socket: &Path, may_ask: bool) -> Vec<String> {
    let mut args = words(options);
    args.extend(words(&["-M", "-S"]));
    args.push(socket.display().to_string());
    args.extend(words(&["-o", "ControlPersist=no"]));
    if !may_ask {
        args.extend(words(&["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]));
    }
    args
}

/// The ssh to HOST, whose session runs `command`.
#[must_use]
pub fn link(
    options: &[&str],
    socket: &Path,
    host: &str,
    command: &str,
    may_ask: bool,
) -> Vec<String> {
    let mut args = master(options, socket, may_ask);
    args.extend(words(&["--", host, command]));
    args
}

/// The ssh to a compute node, through the ssh to HOST (`through` is its socket), without a session.
#[must_use]
pub fn node(
    options: &[&str],
    socket: &Path,
    program: &str,
    through: Option<(&Path, &str)>,
    user: &[String],
    node: &str,
    may_ask: bool,
) -> Vec<String> {
    let mut args = master(options, socket, may_ask);
    args.extend(words(&["-N", "-o", "PermitLocalCommand=yes", "-o"]));
    args.push(format!("LocalCommand=echo {OPEN}"));
    if let Some((through, host)) = through {
        // The first ssh carries the second: no second login to HOST. ssh itself replaces %h and %p.
        let command = [
            program,
            "-F",
            "none",
            "-S",
            &through.display().to_string(),
            "-W",
        ]
        .map(|word| quoted(word).replace('%', "%%"))
        .join(" ");
        args.push("-o".to_owned());
        args.push(format!(
            "ProxyCommand={command} [%h]:%p -- {}",
            quoted(host).replace('%', "%%")
        ));
    }
    args.extend_from_slice(user);
    args.extend(words(&["--", node]));
    args
}

/// A request to a running ssh: `forward` or `cancel`. The user's configuration is not read, for its forwards would be asked for as well.
#[must_use]
pub fn request(socket: &Path, verb: &str, forwards: &[String]) -> Vec<String> {
    let mut args = words(&["-F", "none", "-S"]);
    args.push(socket.display().to_string());
    args.extend(words(&["-O", verb]));
    for forward in forwards {
        args.extend(words(&["-L", forward]));
    }
    args.extend(words(&["--", "ipjob"]));
    args
}

/// What `-L` takes.
#[must_use]
pub fn forward(local: u16, endpoint: &super::endpoints::Endpoint) -> String {
    let address = endpoint.address;
    let remote = if address.is_ipv6() {
        format!("[{address}]")
    } else {
        address.to_string()
    };
    format!("127.0.0.1:{local}:{remote}:{}", endpoint.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_ssh_goes_through_the_first() {
        let args = node(
            &[],
            Path::new("/tmp/a b/n"),
            "ssh",
            Some((Path::new("/tmp/a b/s"), "me@daint")),
            &["-l".to_owned(), "ada".to_owned()],
            "node1",
            true,
        );
        assert!(
            args.contains(
                &"ProxyCommand=ssh -F none -S '/tmp/a b/s' -W [%h]:%p -- me@daint".to_owned()
            ),
            "{args:?}"
        );
        assert_eq!(args.last().map(String::as_str), Some("node1"));
        assert!(!args.iter().any(|arg| arg.contains("BatchMode")));
        assert!(
            node(&[], Path::new("n"), "ssh", None, &[], "n1", false)
                .contains(&"BatchMode=yes".to_owned())
        );
    }

    #[test]
    fn nothing_weakens_the_check_of_host_keys() {
        let all = [
            link(&[], Path::new("s"), "h", "x", true),
            link(&[], Path::new("s"), "h", "x", false),
            node(&[], Path::new("s"), "ssh", None, &[], "h", false),
            request(Path::new("s"), "forward", &[]),
        ];
        assert!(
            !all.concat()
                .iter()
                .any(|arg| arg.contains("HostKey") || arg.contains("KnownHosts"))
        );
    }

    #[test]
    fn addresses_of_version_6_are_in_brackets() {
        let endpoint = |address: &str| super::super::endpoints::Endpoint {
            address: address.parse().expect("an address"),
            port: 80,
        };
        assert_eq!(forward(1, &endpoint("fd00::1")), "127.0.0.1:1:[fd00::1]:80");
        assert_eq!(forward(1, &endpoint("10.0.0.1")), "127.0.0.1:1:10.0.0.1:80");
    }
}
