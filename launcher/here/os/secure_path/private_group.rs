//! The group that is one user's alone: by the custom behind umask 002 each user has a primary group of the same name or number. The
//! site's directory is asked through `getent`, as a static glibc would load the site's name service.

use crate::here::os::run_program::ask;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// How long `getent` may take: a directory that cannot be reached answers late or never.
const LIMIT: Duration = Duration::from_secs(5);

/// The number of the private group of this process's user; `None` where there is none. Asked once.
pub fn of(uid: u32) -> Option<u32> {
    static KNOWN: OnceLock<Option<u32>> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let passwd = entry("passwd", uid)?;
        private(&passwd, uid, |gid| entry("group", gid))
    })
}

/// The primary group that a line of `passwd` names, if it has the user's number, or the user's name and no other members.
fn private(passwd: &str, uid: u32, group: impl FnOnce(u32) -> Option<String>) -> Option<u32> {
    let mut user = passwd.split(':');
    let name = user.next().filter(|name| !name.is_empty())?;
    let gid = user.nth(2)?.parse().ok()?;
    if gid == uid {
        return Some(gid);
    }
    let group = group(gid)?;
    let mut fields = group.split(':');
    let has_name = fields.next() == Some(name);
    let members = fields.nth(2)?;
    let is_alone = members
        .split(',')
        .all(|member| member.is_empty() || member == name);
    (has_name && is_alone).then_some(gid)
}

/// The line of a user or group of that number, of the site's directory or of this machine's own file.
fn entry(database: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let is_of = |line: &&str| line.split(':').nth(2) == Some(number.as_str());
    let find = |text: &str| text.lines().find(is_of).map(str::to_owned);
    let told = ask(Command::new("getent").args([database, &number]), LIMIT);
    find(&told.output).or_else(|| find(&fs::read_to_string(format!("/etc/{database}")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_the_users_name_or_number_is_private_while_nobody_else_is_in_it() {
        let user = "ada:x:1000:70000:Ada,,,:/home/ada:/bin/bash";
        for (group, is_private) in [
            ("ada:x:70000:", true),
            ("ada:*:70000:ada", true),
            ("ada:x:70000:ada,bob", false),
            ("users:x:70000:", false),
            ("ada:x", false),
        ] {
            let told = private(user, 1000, |_| Some(group.to_owned()));
            assert_eq!(told, is_private.then_some(70000), "{group}");
        }
        assert_eq!(private(user, 1000, |_| None), None);
        assert_eq!(private("ada:x:7:7::/:/bin/sh", 7, |_| None), Some(7));
        assert_eq!(private("garbage", 7, |_| None), None);
    }

    #[test]
    fn the_directory_knows_root() {
        let root = entry("passwd", 0).expect("every system has it");
        assert!(root.starts_with("root:"), "{root}");
        assert_eq!(entry("group", 4_000_000_000), None);
    }
}
