//! What ssh is told so that it gets into a job: as an entry of its configuration, or as arguments. PURE.

use crate::remote::target::{Job, Target};
use crate::report::dry_run::quoted;
use std::path::{Path, PathBuf};

/// The client's key in the directory of an entry; its public half is beside it.
pub const KEY: &str = "key";

/// The file in it that has the job's host key.
pub const KNOWN_HOSTS: &str = "known_hosts";

/// One job, as ssh knows it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name for ssh.
    pub alias: String,
    /// The user there, where it is not certainly the same as here.
    pub user: Option<String>,
    /// What carries the bytes.
    pub proxy: Vec<String>,
    /// Where keys are while a session runs.
    pub directory: PathBuf,
}

/// The name of a job for ssh: `ipjob-daint-123456`; with the node, where one was chosen.
#[must_use]
pub fn alias(target: &Target, node: Option<&str>) -> String {
    let host = target.host.as_ref().map(super::super::target::Host::as_str);
    let job = target.job.as_ref().map(Job::as_str);
    let words = ["ipjob"].into_iter().chain(host).chain(job).chain(node);
    let plain = |char: char| match char {
        char if char.is_ascii_alphanumeric() || "._-".contains(char) => char,
        _ => '-',
    };
    words
        .map(|word| word.chars().map(plain).collect())
        .collect::<Vec<String>>()
        .join("-")
}

impl Entry {
    /// Everything that must not be left to chance, and how much ssh says of itself.
    fn settings(&self, log_level: &str) -> Vec<(&'static str, String)> {
        let proxy: Vec<String> = self
            .proxy
            .iter()
            .map(|word| escaped(&quoted(word)))
            .collect();
        let fixed = |name: &'static str, value: &str| (name, value.to_owned());
        let mut settings = vec![("ProxyCommand", proxy.join(" "))];
        settings.extend(self.user.iter().map(|user| ("User", user.clone())));
        settings.extend([
            ("IdentityFile", path(&self.directory.join(KEY))),
            // Keys of an agent would be offered first, and a server takes six.
            fixed("IdentitiesOnly", "yes"),
            fixed("PreferredAuthentications", "publickey"),
            ("HostKeyAlias", self.alias.clone()),
            (
                "UserKnownHostsFile",
                path(&self.directory.join(KNOWN_HOSTS)),
            ),
            fixed("GlobalKnownHostsFile", "/dev/null"),
            fixed("StrictHostKeyChecking", "yes"),
            fixed("CheckHostIP", "no"),
            // The file has one key, and is ipjob's to write.
            fixed("UpdateHostKeys", "no"),
            // A connection that was cut without a word is noticed in a minute.
            fixed("ServerAliveInterval", "15"),
            fixed("ServerAliveCountMax", "4"),
            ("LogLevel", log_level.to_owned()),
        ]);
        settings
    }

    /// The entry.
    #[must_use]
    pub fn text(&self) -> String {
        let settings = self.settings("ERROR");
        let lines = settings
            .iter()
            .map(|(name, value)| format!("    {name} {value}\n"));
        format!("Host {}\n{}", self.alias, lines.collect::<String>())
    }

    /// The same as arguments; the user's own configuration is for the ssh to HOST. Why there is no session ipjob says: of its own
    /// `ProxyCommand` ssh only knows that it ended, and says so at the level ERROR (`kex_exchange_identification`). Who gives ssh arguments
    /// of his own (`-L`) is to hear what becomes of them.
    #[must_use]
    pub fn arguments(&self, has_others: bool) -> Vec<String> {
        let log_level = if has_others { "ERROR" } else { "FATAL" };
        let settings = self.settings(log_level).into_iter();
        ["-F", "none"]
            .map(str::to_owned)
            .into_iter()
            .chain(settings.flat_map(|(name, value)| ["-o".to_owned(), format!("{name}={value}")]))
            .collect()
    }
}

/// A path, for settings that take several words and replace `%x`.
fn path(path: &Path) -> String {
    format!("\"{}\"", escaped(&path.display().to_string()))
}

/// Without anything that ssh would replace.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            alias: "ipjob-daint-7".to_owned(),
            user: Some("ada".to_owned()),
            proxy: ["/opt/my tools/50%/ipjob", "ssh", "--proxy", "daint:7"]
                .map(str::to_owned)
                .to_vec(),
            directory: PathBuf::from("/home/a b/.local/state/ipjob/ssh/ipjob-daint-7"),
        }
    }

    #[test]
    fn the_entry_says_everything() {
        assert_eq!(
            entry().text(),
            r#"Host ipjob-daint-7
    ProxyCommand '/opt/my tools/50%%/ipjob' ssh --proxy daint:7
    User ada
    IdentityFile "/home/a b/.local/state/ipjob/ssh/ipjob-daint-7/key"
    IdentitiesOnly yes
    PreferredAuthentications publickey
    HostKeyAlias ipjob-daint-7
    UserKnownHostsFile "/home/a b/.local/state/ipjob/ssh/ipjob-daint-7/known_hosts"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    CheckHostIP no
    UpdateHostKeys no
    ServerAliveInterval 15
    ServerAliveCountMax 4
    LogLevel ERROR
"#
        );
    }

    #[test]
    fn arguments_say_the_same_and_leave_the_users_configuration_out() {
        let entry = entry();
        let arguments = entry.arguments(true);
        assert_eq!(arguments[..2], ["-F", "none"]);
        let said: Vec<String> = arguments[2..]
            .chunks(2)
            .map(|pair| format!("    {}\n", pair[1].replacen('=', " ", 1)))
            .collect();
        assert_eq!(
            format!("Host ipjob-daint-7\n{}", said.concat()),
            entry.text()
        );
        assert!(
            entry
                .arguments(false)
                .contains(&"LogLevel=FATAL".to_owned())
        );
    }

    #[test]
    fn names_are_what_ssh_takes_for_one() {
        for (target, node, expected) in [
            ("daint:123_4", None, "ipjob-daint-123_4"),
            ("daint:", None, "ipjob-daint"),
            ("", None, "ipjob"),
            ("me@site.org@login-1:7", None, "ipjob-me-site.org-login-1-7"),
            ("[fe80::1%eth0]:7", None, "ipjob-fe80--1-eth0-7"),
            ("7", Some("node2"), "ipjob-7-node2"),
        ] {
            let target = Target::read(target).expect("a target");
            assert_eq!(alias(&target, node), expected);
        }
    }
}
