//! The pointer file, which tells where a job's record lies: an IPython directory may be anywhere, and who asks for a job
//! knows only its id. docs/connection-file.md documents it.
//!
//! docs/design/record.md explains the design.

use crate::here::os::secure_path::{self, Fault};
use crate::here::os::{files, state};
use crate::plan::Plan;
use crate::plan::fnv;
use crate::plan::job::JobId;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of the pointer's form.
const VERSION: u32 = 1;

/// Characters of a cluster's, host's or profile's name that are kept in the file's name.
const LONGEST: usize = 80;

/// After so long a file that is being written there is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// One pointer. The record comes last and each field has a line, so that a shell can read it.
#[derive(Debug, Serialize)]
struct Pointer<'a> {
    version: u32,
    cluster: &'a str,
    job: Option<&'a str>,
    profile: &'a str,
    host: &'a str,
    record: &'a Path,
}

/// Writes the pointer of a job, in the place of one that an earlier life of it left; tells where.
pub fn write(plan: &Plan) -> Result<PathBuf, Fault> {
    let directory = state::directory()
        .ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME names a directory"))?;
    secure_path::make_whole(&directory)?;
    files::private_directory(&directory)?;
    files::remove_temporaries(&directory, ABANDONED);
    let record = plan.profile.record();
    let pointer = Pointer {
        version: VERSION,
        cluster: &plan.allocation.cluster,
        job: plan.allocation.job.as_ref().map(JobId::number),
        profile: plan.profile.name.as_str(),
        host: &plan.incarnation.host,
        record: &record,
    };
    let mut text = serde_json::to_vec_pretty(&pointer).map_err(io::Error::other)?;
    text.push(b'\n');
    let path = directory.join(name(&pointer));
    files::replace(&path, &text)?;
    Ok(path)
}

/// `daint.123.json`; without a scheduler `local.HOST.PROFILE.HASH.json`, where the hash tells records of equal profile names
/// apart.
fn name(pointer: &Pointer) -> String {
    let cluster = plain(pointer.cluster);
    match pointer.job {
        Some(job) => format!("{cluster}.{}.json", plain(job)),
        None => format!(
            "{cluster}.{}.{}.{:08x}.json",
            plain(pointer.host),
            plain(pointer.profile),
            fnv::hash(&pointer.record.to_string_lossy())
        ),
    }
}

fn plain(word: &str) -> String {
    word.chars()
        .take(LONGEST)
        .map(|char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => char,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_word_whatever_the_parts_are() {
        let pointer = |cluster, job, profile| Pointer {
            version: VERSION,
            cluster,
            job,
            profile,
            host: "n1.example.org",
            record: Path::new("/a"),
        };
        assert_eq!(
            name(&pointer("daint", Some("123"), "job_123")),
            "daint.123.json"
        );
        assert_eq!(name(&pointer("a/../b", Some("1"), "x")), "a____b.1.json");
        let local = name(&pointer("local", None, "m\u{fc}ll $(x)"));
        assert_eq!(local, "local.n1_example_org.m_ll___x_.70d2182d.json");
    }
}
