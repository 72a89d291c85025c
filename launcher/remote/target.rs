//! What a person names: `[HOST:][JOB]`. PURE.
//!
//! Both parts go to other programs, the host to ssh, the job to a shell and to Slurm: so whatever is not plainly a host or a job
//! is refused here, by name.

use crate::failure::{Failure, Outcome};
use crate::plan::job;
use crate::plan::profile::ProfileName;

/// The longest that each part may be.
const LONGEST: usize = 255;

/// What was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The host that ssh shall reach; `None` is this machine.
    pub host: Option<Host>,
    /// The job; `None` where all are meant, or the only one.
    pub job: Option<Job>,
}

/// A destination that ssh takes for one: an alias of its configuration, or `[USER@]HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

/// A job, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// A job's number, or that of a job array: `123456`.
    Id(String),
    /// An element of a job array: `123456_7`. squeue knows its number.
    Element(String),
    /// A profile's name, for jobs without Slurm: `job_local`.
    Profile(ProfileName),
}

impl Target {
    /// Reads `HOST:JOB`, `HOST:`, `JOB` or nothing.
    pub fn read(text: &str) -> Outcome<Self> {
        // The colons of an address of version 6 are in brackets.
        let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
        let (host, job) = match text.get(after_brackets..).and_then(|rest| rest.rfind(':')) {
            Some(at) => {
                let (host, job) = text.split_at(after_brackets + at);
                (Some(Host::read(host)?), job.trim_start_matches(':'))
            }
            None => (None, text),
        };
        let job = match job {
            "" => None,
            word => Some(Job::read(word)?),
        };
        Ok(Self { host, job })
    }
}

impl Host {
    /// Reads `HOST:` and what stands behind it, which is not looked at.
    pub fn before(text: &str) -> Outcome<(Self, &str)> {
        // The colons of an address of version 6 are in brackets.
        let first = text.find(':').unwrap_or(text.len());
        let after_brackets = match text.find('[') {
            Some(open) if open < first => text.find(']').map_or(0, |at| at + 1),
            _ => 0,
        };
        let at = text.get(after_brackets..).and_then(|rest| rest.find(':'));
        let Some(at) = at.map(|at| after_brackets + at) else {
            return Err(Failure::usage(format!("{text:?} names no host"))
                .hint("write HOST: with a colon, where HOST is what you type after `ssh`")
                .hint("on the cluster itself `sbatch` submits, and `ipjob connect JOB` shows how to use the job"));
        };
        let (host, rest) = text.split_at(at);
        Ok((Self::read(host)?, rest.trim_start_matches(':')))
    }

    fn read(text: &str) -> Outcome<Self> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        let in_brackets = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let plain = |extra: &'static str| {
            move |char: char| char.is_ascii_alphanumeric() || extra.contains(char)
        };
        let name = in_brackets.unwrap_or(host);
        let named = match in_brackets {
            Some(address) => address.chars().all(plain(":.%")),
            None => host.chars().all(plain("._-")),
        };
        let user_named =
            user.is_none_or(|user| !user.is_empty() && user.chars().all(plain("._@+=-")));
        // ssh takes what begins with a dash for an option.
        let dashed = name.starts_with('-') || user.is_some_and(|user| user.starts_with('-'));
        if name.is_empty() || !named || !user_named || dashed || text.len() > LONGEST {
            return Err(Failure::usage(format!("{text:?} is not a host name that ssh accepts"))
                .hint("write HOST:JOB, where HOST is an alias of ~/.ssh/config, HOST, USER@HOST or [ADDRESS]")
                .hint("a port, a jump host and other settings go into ~/.ssh/config, under an alias"));
        }
        Ok(Self(match user {
            Some(user) => format!("{user}@{name}"),
            None => name.to_owned(),
        }))
    }

    /// The word for ssh, which goes after `--`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Job {
    fn read(text: &str) -> Outcome<Self> {
        if text.len() > LONGEST {
            return Err(
                Failure::usage("a job's name cannot have more than 255 bytes")
                    .hint("give the job id that sbatch printed, or the profile's name"),
            );
        }
        if job::element(text).is_some() {
            return Ok(Self::Element(text.to_owned()));
        }
        // A component of a heterogeneous job, `9+1`, is a part of job 9.
        let (number, component) = text.split_once('+').unwrap_or((text, "0"));
        if job::is_number(number) && job::is_number(component) {
            return Ok(Self::Id(number.to_owned()));
        }
        if let Ok(name) = ProfileName::new(text) {
            return Ok(Self::Profile(name));
        }
        Err(Failure::usage(format!(
            "{text:?} is neither a job id nor the name of a profile"
        ))
        .hint("give the job id that sbatch printed, as 123456 or 123456_7, or a profile such as job_local")
        .hint("a job on another machine is written HOST:JOB"))
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(word) | Self::Element(word) => word,
            Self::Profile(name) => name.as_str(),
        }
    }
}

/// What a host is called in messages.
#[must_use]
pub fn place(host: Option<&Host>) -> String {
    host.map_or("this machine", Host::as_str).to_owned()
}

/// The command that lists the jobs of a host, to be told.
#[must_use]
pub fn status(host: Option<&Host>) -> String {
    match host {
        Some(host) => format!("`ipjob status {}:`", host.as_str()),
        None => "`ipjob status`".to_owned(),
    }
}

/// Whether a name can be a directory's and a shell's word, and nothing else.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._@+-".contains(char);
    !name.is_empty()
        && name.chars().all(plain)
        && !name.contains("..")
        && !name.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Option<Job>) {
        let target = Target::read(text).expect("a target");
        (target.host.map(|host| host.as_str().to_owned()), target.job)
    }

    #[test]
    fn hosts_and_jobs_are_told_apart() {
        let id = |word: &str| Some(Job::Id(word.to_owned()));
        let host = |word: &str| Some(word.to_owned());
        for (text, expected) in [
            ("", (None, None)),
            ("123", (None, id("123"))),
            ("daint:123", (host("daint"), id("123"))),
            ("daint:", (host("daint"), None)),
            (
                "me@site.org@login-1.daint:7",
                (host("me@site.org@login-1.daint"), id("7")),
            ),
            ("[fe80::1%eth0]:5", (host("fe80::1%eth0"), id("5"))),
            ("me@[::1]:", (host("me@::1"), None)),
            ("9+1", (None, id("9"))),
            ("12_3", (None, Some(Job::Element("12_3".to_owned())))),
            (
                "a:job_local",
                (
                    host("a"),
                    ProfileName::new("job_local").ok().map(Job::Profile),
                ),
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_host_stands_before_its_colon() {
        for (text, host, rest) in [
            ("daint:", "daint", ""),
            ("a@b:x y:z", "a@b", "x y:z"),
            ("[::1]:p", "::1", "p"),
            ("daint:a[1]:b", "daint", "a[1]:b"),
        ] {
            let (found, behind) = Host::before(text).expect("a host");
            assert_eq!((found.as_str(), behind), (host, rest));
        }
        for text in ["daint", "", "-o:", "[::1]"] {
            assert!(Host::before(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whatever_a_shell_or_ssh_would_act_on_is_refused() {
        for text in [
            "-oProxyCommand=x:1",
            "a@-oProxyCommand=x:1",
            "-l@a:1",
            "$(id):1",
            "a;id:1",
            "a b:1",
            "a\n:1",
            "`id`:1",
            "a\u{1b}[31m:1",
            "a|b:1",
            ":1",
            "@a:1",
            "a:b:1",
            "[a:1",
            "[;]:1",
            "h:$(id)",
            "h:1;id",
            "h:../x",
            "h:a/b",
            "h:-s",
            "h:1 2",
            "h:\u{e9}",
            "h:.x",
            "h:a'b",
            "h:a\"b",
            "h:*",
            "h:&",
        ] {
            let refused = Target::read(text).expect_err(text);
            assert_eq!(refused.exit_code(), 2, "{text}");
            assert!(!refused.hints.is_empty());
            assert!(!refused.message.contains('\u{1b}'), "{refused}");
        }
        assert!(Target::read(&format!("{}:1", "a".repeat(300))).is_err());
        assert!(Target::read(&"a".repeat(300)).is_err());
    }
}
