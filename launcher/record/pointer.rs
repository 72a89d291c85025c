//! The pointer, which tells where a job's record lies: an IPython directory may be anywhere, and who asks for a job knows only its id.
//! docs/connection-file.md documents it. PURE.

use super::field::{Field, OrNull};
use super::word::{AbsPath, JobNumber, Text};
use super::{VERSION, parse};
use crate::failure::Outcome;
use crate::plan::Plan;
use crate::plan::fnv;
use crate::plan::job::JobId;
use crate::plan::profile::ProfileName;
use serde::{Deserialize, Serialize};

/// The longest pointer that is read, in bytes.
const LONGEST_POINTER: usize = 64 * 1024;

/// Characters of a cluster's, host's or profile's name that are kept in the file's name.
const LONGEST: usize = 80;

/// One pointer. The record comes last and each field has a line, so that a shell can read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pointer {
    version: Field<u32>,
    /// The Slurm cluster; `local` without Slurm.
    pub cluster: Field<Text>,
    /// The job's number; null without Slurm.
    pub job: OrNull<JobNumber>,
    /// The profile's name.
    pub profile: Field<ProfileName>,
    /// The host that ipjob runs on.
    pub host: Field<Text>,
    /// The record's path.
    pub record: Field<AbsPath>,
}

impl Pointer {
    /// The pointer of a job.
    pub fn new(plan: &Plan) -> Outcome<Self> {
        let job = plan.allocation.job.as_ref().map(JobId::number);
        Ok(Self {
            version: VERSION.into(),
            cluster: Text::ours(&plan.allocation.cluster).into(),
            job: job.map(JobNumber::ours).into(),
            profile: plan.profile.name.clone().into(),
            host: Text::ours(&plan.incarnation.host).into(),
            record: AbsPath::of(&plan.profile.record())?.into(),
        })
    }

    /// Reads a pointer; else why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let told = parse(bytes, LONGEST_POINTER)?;
        Ok(Self::deserialize(&told).unwrap_or_default())
    }

    /// The file's name: `daint.123.job_123.HASH.json`; without a scheduler the host stands in the place of the job. The hash tells records of
    /// equal profile names apart.
    #[must_use]
    pub fn file_name(&self) -> String {
        let host = || self.host.as_deref().unwrap_or_default();
        format!(
            "{}.{}.{}.{:08x}.json",
            plain(self.cluster.as_deref().unwrap_or_default()),
            plain(self.job.as_deref().unwrap_or_else(host)),
            plain(self.profile.as_ref().map_or("", ProfileName::as_str)),
            fnv::hash(self.record.as_deref().unwrap_or_default())
        )
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
    use serde_json::json;

    #[test]
    fn a_pointer_is_read_as_it_is_written() {
        let text = json!({"version": 1, "cluster": "lab", "job": null, "profile": "job_local", "host": "n1", "record": "/h/ipjob.json"});
        let pointer = Pointer::read(text.to_string().as_bytes()).expect("a pointer");
        assert_eq!(
            (pointer.cluster.as_deref(), pointer.job.as_deref()),
            (Some("lab"), None)
        );
        assert_eq!(pointer.record.as_deref(), Some("/h/ipjob.json"));
        let written = serde_json::to_string_pretty(&pointer).expect("text");
        assert_eq!(
            written,
            serde_json::to_string_pretty(&Pointer::read(written.as_bytes()).expect("a pointer"))
                .expect("text")
        );
        let last = written.lines().rev().nth(1);
        assert_eq!(last, Some("  \"record\": \"/h/ipjob.json\""), "for find.sh");
        for record in ["../x", "/a/../b", "x", "/a\u{0}b"] {
            let mut bad = text.clone();
            bad["record"] = json!(record);
            let pointer = Pointer::read(bad.to_string().as_bytes()).expect("a pointer");
            assert_eq!(*pointer.record, None, "{record}");
        }
    }

    #[test]
    fn a_name_is_one_plain_word_whatever_the_parts_are() {
        let name = |cluster: &str, job: Option<&str>, profile: &str| {
            let pointer = Pointer {
                version: VERSION.into(),
                cluster: Text::ours(cluster).into(),
                job: job.map(JobNumber::ours).into(),
                profile: ProfileName::recorded(profile).into(),
                host: Text::ours("n1.example.org").into(),
                record: AbsPath::ours("/a").into(),
            };
            pointer.file_name()
        };
        assert_eq!(
            name("daint", Some("123"), "job_123"),
            "daint.123.job_123.70d2182d.json"
        );
        assert_eq!(name("a/../b", Some("1"), "x"), "a____b.1.x.70d2182d.json");
        let local = name("local", None, "m\u{fc}ll $(x)");
        assert_eq!(local, "local.n1_example_org.m_ll___x_.70d2182d.json");
    }
}
