//! The ends of a profile's logs. Services and the user's own code wrote them, so no list of names tells where a secret stands: what looks
//! like one is taken out, and what is lost with it is lost.

use super::secrets::REMOVED;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Lines of each log that are kept.
const TAIL: usize = 60;

/// Bytes at the end of each log that are looked at: all logs of a job may have 512 MiB.
const END: u64 = 256 * 1024;

/// Parts of names to which secrets are given.
const NAMES: [&str; 12] = [
    "accesskey",
    "access_key",
    "apikey",
    "api_key",
    "authorization",
    "cookie",
    "credential",
    "jwt",
    "passphrase",
    "passw",
    "secret",
    "token",
];

/// The same as whole words of names: others have them within (`keyword`, `pattern`).
const WORDS: [&str; 6] = ["auth", "key", "pass", "pat", "pw", "pwd"];

/// Letters and digits of a word that can be a key by chance: below that many it is a name.
const SHORTEST: usize = 16;

/// How tokens of well-known services begin, and all of JSON's in base64.
const BEGINNINGS: [&str; 12] = [
    "AKIA",
    "eyJ",
    "gho_",
    "ghp_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hf_",
    "pypi-",
    "sk-",
    "xox",
];

/// Characters of base64, of both kinds.
const BASE64: [char; 5] = ['+', '/', '=', '-', '_'];

/// The ends of all logs of a directory, by their names.
pub fn tails(dir: &Path) -> Vec<(String, String)> {
    let mut logs: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort();
    let tail = |path: &PathBuf| {
        let text = end_of(path).map_or_else(
            |error| format!("it cannot be read: {error}"),
            |text| last_lines(&text),
        );
        (path.display().to_string(), text)
    };
    logs.iter().map(tail).collect()
}

/// The end of a file, from the begin of a line.
fn end_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, rest)) if length > END => rest.to_owned(),
        _ => text.into_owned(),
    })
}

/// The last lines of a text without what looks like a secret.
fn last_lines(text: &str) -> String {
    // Before it is cut: a key of many lines may begin above what is kept.
    let lines = clean(text);
    let from = lines.len().saturating_sub(TAIL);
    lines[from..].join("\n")
}

/// The lines of a text without what looks like a secret: each on its own, and keys that take several.
pub fn clean(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut in_key = false;
    for line in text.lines() {
        if let Some(begin) = line.find("-----BEGIN ") {
            // A header of its own line, or all of it in one.
            in_key = !line[begin..].contains("-----END ");
            lines.push(format!("{}{REMOVED}", clean_line(&line[..begin])));
        } else if line.contains("-----END ") {
            if !in_key {
                // The log begins within it.
                while lines
                    .last()
                    .is_some_and(|line| is_base64(line) || line == REMOVED)
                {
                    lines.pop();
                }
                lines.push(REMOVED.to_owned());
            }
            in_key = false;
        } else if !in_key {
            lines.push(if is_base64(line) && line.len() >= 40 {
                REMOVED.to_owned()
            } else {
                clean_line(line)
            });
        }
    }
    lines
}

fn is_base64(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty()
        && line
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || BASE64.contains(&c))
}

fn clean_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if !in_name(first) {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..rest.find(|c| !in_name(c)).unwrap_or(rest.len())];
        if let Some((between, value)) = given(word, &rest[word.len()..]) {
            out.push_str(word);
            out.push_str(between);
            out.push_str(REMOVED);
            rest = &rest[word.len() + between.len() + value..];
            continue;
        }
        // With what base64 has besides.
        let all = &rest[..rest
            .find(|c| !in_name(c) && !BASE64.contains(&c))
            .unwrap_or(rest.len())];
        let (longest, shown) = if is_random(all) {
            (all, REMOVED)
        } else {
            (word, word)
        };
        out.push_str(if is_random(word) { REMOVED } else { shown });
        rest = &rest[longest.len()..];
    }
    out
}

/// What names of options, variables and fields are made of.
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// What stands between a name and the secret that it is given, and how long that is: `password: x`, `"key": "x"`, `--token x`, `Bearer x`.
fn given<'a>(name: &str, after: &'a str) -> Option<(&'a str, usize)> {
    let is_option = name.starts_with("--");
    let lower = name.to_ascii_lowercase();
    let is_scheme = lower == "bearer";
    let is_secret = NAMES.iter().any(|part| lower.contains(part))
        || lower.split(['_', '-']).any(|word| WORDS.contains(&word));
    if !is_scheme && !is_secret {
        return None;
    }
    let bare = after.trim_start_matches(['"', '\'']);
    let unspaced = bare.trim_start();
    let sign = unspaced.chars().next()?;
    let value = if sign == '=' || sign == ':' {
        unspaced[1..].trim_start()
    } else if is_option || is_scheme {
        unspaced
    } else {
        return None;
    };
    let between = &after[..after.len() - value.len()];
    if between.is_empty() || value.is_empty() {
        return None;
    }
    let quoted = value
        .chars()
        .next()
        .filter(|quote| ['"', '\''].contains(quote));
    let end = match quoted {
        Some(quote) => value[1..].find(quote).map(|end| end + 2),
        None if sign == '=' && !between.contains(' ') || is_option => {
            value.find(|c: char| c.is_whitespace() || "&,;)]}\"'".contains(c))
        }
        // What is written for people goes on to the end.
        None => None,
    };
    Some((between, end.unwrap_or(value.len())))
}

/// Whether a word is no name but made by chance: letters, capitals and digits change places far more often than in words and paths.
fn is_random(word: &str) -> bool {
    let letters: Vec<u8> = word.bytes().filter(u8::is_ascii_alphanumeric).collect();
    if letters.len() >= 12 && BEGINNINGS.iter().any(|begin| word.starts_with(begin)) {
        return true;
    }
    if letters.len() < SHORTEST {
        return false;
    }
    let kind = |c: u8| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let changes = letters
        .windows(2)
        .filter(|two| kind(two[0]) != kind(two[1]))
        .count();
    match (letters.iter().any(u8::is_ascii_digit), letters.len()) {
        (true, ..24) => changes * 4 >= letters.len(),
        (true, _) => changes * 5 >= letters.len(),
        // `AsyncMapResult` changes with each word.
        (false, _) => changes * 5 >= letters.len() * 2,
    }
}

#[cfg(test)]
mod fuzz {
    //! Any log.

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_given_to_a_secret_name_is_removed(
            name in "(api_|my-|X_)?(token|password|passwd|secret|api_key|Authorization|cookie)", secret in "[a-z]{5,9}[QXZ]{3}[a-z0-9]{0,9}",
            sign in "=|: | = |\": \"|': '", before in "[a-p ]{0,20}",
        ) {
            let cleaned = clean(&format!("{before} {name}{sign}{secret}\nnext"));
            prop_assert!(!cleaned.join("\n").contains(&secret), "{cleaned:?}");
            prop_assert_eq!(cleaned.last().map(String::as_str), Some("next"));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,60}|(-----BEGIN |-----END |token|--key|[=:\"' ]|bearer|\\PC){0,14}") {
            let _ = clean(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes() {
        for (line, wanted) in [
            ("password: correct horse", "password: <removed>"),
            (
                "login(password='correct horse', n=2)",
                "login(password=<removed>, n=2)",
            ),
            (
                "{\"key\": \"abc\", \"a\": 1}",
                "{\"key\": <removed>, \"a\": 1}",
            ),
            (
                "c.ServerApp.password = 'argon2:$argon2id$v=19$m=1,t=1$a$b'",
                "c.ServerApp.password = <removed>",
            ),
            (
                "run --api-token hunter2 --n 3",
                "run --api-token <removed> --n 3",
            ),
            ("DB_PASS=hunter2 MORE=1", "DB_PASS=<removed> MORE=1"),
            ("Authorization: Bearer a b", "Authorization: <removed>"),
            ("sent 'bearer hunter2'", "sent 'bearer <removed>"),
            ("uses ghp_16C7e42F292c69 here", "uses <removed> here"),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
                "<removed>.<removed>.<removed>",
            ),
            ("got u7Ksx+QmB9/3pLz0aVbTtQ== then", "got <removed> then"),
            ("key MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "key <removed>"),
        ] {
            assert_eq!(clean(line), [wanted], "{line}");
        }
        let key = "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nAAAA\n-----END OPENSSH PRIVATE KEY-----\ny";
        assert_eq!(clean(key), ["x", REMOVED, "y"]);
        // As the middle of a log that has grown too long may leave it.
        let half = "x y\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt\nAAAA\n-----END OPENSSH PRIVATE KEY-----\ny";
        assert_eq!(clean(half), ["x y", REMOVED, "y"]);
    }

    #[test]
    fn what_helps_stays() {
        for line in [
            "KeyError: 'temperature'",
            "2026-11-27 21:23:43.123 [IPController] Client::Client 'abc' is known",
            "  File \"/opt/python3.11/lib/python3.11/site-packages/ipyparallel/engine/app.py\", line 12, in <module>",
            "ModuleNotFoundError: No module named 'mpi4py'",
            "slurmstepd: error: Detected 1 oom_kill event in StepId=4.0. Some of the step tasks have been OOM Killed.",
            "srun: error: node042: task 3: Out Of Memory",
            "AsyncMapResult HeartMonitorMaxMissesReached x86_64-unknown-linux-gnu",
            "[I 2026-11-27 21:23:43.123 ServerApp] Writing Jupyter server cookie secret to /home/ada/x",
            "==== ipjob lab.12.1",
            "invalid token: ",
        ] {
            assert_eq!(clean(line), [line]);
        }
        let long = (0..100)
            .map(|n| format!("line {n}"))
            .collect::<Vec<_>>()
            .join(
                "
",
            );
        let kept = last_lines(&long);
        assert!(
            kept.starts_with("line 40\n") && kept.ends_with("line 99"),
            "{kept}"
        );
    }
}
