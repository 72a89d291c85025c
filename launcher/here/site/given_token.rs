//! A token of Jupyter's that the user gives, in a file: argv is everybody's to read, and a variable would be in the environment of every engine.

use crate::failure::{Failure, Outcome};
use crate::here::os::time_limited::{LOOK, insist};
use crate::plan::text::Text;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The shortest and the longest token.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Reads it. Whoever can read the file could use Jupyter, and whoever has made it knows the token.
pub fn read(path: &Path) -> Outcome<Text> {
    let option = format!("--jupyter-token-file {}", path.display());
    let file = path.to_owned();
    // The other end of a pipe may never come.
    let found = insist(LOOK, move || contents(&file))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{option} gave nothing within {} s",
                LOOK.as_secs()
            ))
            .hint("name a file, or a pipe that something writes to")
        })?
        .map_err(|error| {
            Failure::usage(format!("{option} cannot be read"))
                .because(error)
                .hint("name a file with the token; a pipe (bash `<(...)`) does not reach the job that --detach leaves")
        })?;
    let own = nix::unistd::geteuid().as_raw();
    if let Some(why) = found.exposed_by(own) {
        let hint = if found.owner == own {
            format!("chmod 600 {}", path.display())
        } else {
            "name a file of your own, with mode 600".to_owned()
        };
        return Err(Failure::usage(format!("{option} is not private: {why}")).hint(hint));
    }
    let token = found.text.trim_end();
    let is_word = token.chars().all(|char| char.is_ascii_alphanumeric());
    if !is_word || !LENGTH.contains(&token.len()) {
        return Err(Failure::usage(format!(
            "{option} does not contain a token: {} to {} letters and digits, and nothing else",
            LENGTH.start(),
            LENGTH.end()
        ))
        .hint("`openssl rand -hex 32` makes one"));
    }
    Ok(Text::Secret(token.to_owned()))
}

/// What the file has, and who may read it.
struct Contents {
    text: String,
    owner: u32,
    mode: u32,
}

impl Contents {
    /// What lets others than this user and root know it.
    fn exposed_by(&self, own: u32) -> Option<String> {
        if ![own, 0].contains(&self.owner) {
            Some(format!("it belongs to user {}", self.owner))
        } else if self.mode & 0o077 != 0 {
            Some(format!("it has mode {:03o}", self.mode & 0o777))
        } else {
            None
        }
    }
}

fn contents(path: &Path) -> io::Result<Contents> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    let mut text = String::new();
    // The end of the line, and one letter that shows that it is too long.
    let most = LENGTH.end() + 3;
    file.take(most as u64).read_to_string(&mut text)?;
    Ok(Contents {
        text,
        owner: found.uid(),
        mode: found.mode(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn given(text: &str, mode: u32) -> Outcome<Text> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        read(&path)
    }

    #[test]
    fn a_token_is_one_word_in_a_file_that_nobody_else_can_read() {
        let longest = "x".repeat(128);
        for (text, token) in [
            ("abcdEF12\n", "abcdEF12"),
            ("abcdEF12", "abcdEF12"),
            ("0123456789abcdef\r\n", "0123456789abcdef"),
            (&longest, &longest),
        ] {
            assert_eq!(given(text, 0o600), Ok(Text::Secret(token.to_owned())));
        }
        let too_long = "x".repeat(129);
        for text in [
            "",
            "\n",
            "short12",
            "two words",
            "a\nbcdefghi",
            "größe123",
            "a/b?c=d&e",
            &too_long,
        ] {
            let failure = given(text, 0o600).expect_err(text);
            assert!(
                failure.message.contains("does not contain a token"),
                "{failure}"
            );
            // It may be a secret.
            assert!(
                text.trim().is_empty() || !failure.to_string().contains(text.trim()),
                "{failure}"
            );
        }
        for mode in [0o640, 0o604, 0o660] {
            let failure = given("abcdEF12", mode).expect_err("open");
            let told = format!("is not private: it has mode {mode:03o}");
            assert!(failure.message.ends_with(&told), "{failure}");
            assert!(failure.hints[0].starts_with("chmod 600 "), "{failure}");
        }
    }

    #[test]
    fn a_file_of_another_users_is_refused_whatever_its_mode() {
        let of = |owner: u32, mode: u32| Contents {
            text: String::new(),
            owner,
            mode,
        };
        for (owner, mode, told) in [
            (1000, 0o100_600, None),
            (0, 0o100_400, None),
            (0, 0o100_444, Some("it has mode 444")),
            (1001, 0o100_600, Some("it belongs to user 1001")),
        ] {
            assert_eq!(of(owner, mode).exposed_by(1000).as_deref(), told);
        }
    }
}
