//! What a bound engine sees, and why a task could not be bound to CPUs. PURE.

use super::is_label;
use crate::plan::bind::Gpus;
use crate::plan::cpus::Cpus;
use crate::plan::share::Share;
use core::fmt;

/// What an engine sees of its node, as it tells itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its rank in the step, by srun's label.
    pub task: Option<u32>,
    /// Its process.
    pub pid: u32,
    /// The CPUs that it may use.
    pub cpus: Cpus,
    /// Its GPUs, by each of the variables that are set.
    pub gpus: Vec<Gpus>,
}

/// How the line begins.
const HEAD: &str = "ipjob-engine sees ";

/// What every engine that is to be bound runs once: it tells its CPUs and the variables of its GPUs. An expression, so that no name is
/// left in the users' namespace; one write, so that srun doesn't mix it with another task's line.
pub const SIGHT_CODE: &str = "(lambda os: os.write(1, ('ipjob-engine sees pid %d cpus %s%s\\n' % (os.getpid(), ','.join(map(str, sorted(os.sched_getaffinity(0)))), ''.join(' %s=%s' % (name, os.environ[name]) for name in ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'ZE_AFFINITY_MASK') if os.environ.get(name)))).encode()))(__import__('os'))";

impl Sight {
    /// Reads `ipjob-engine sees pid 117 cpus 0,1 CUDA_VISIBLE_DEVICES=0`, with the label that srun puts before it.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ["pid", pid, "cpus", cpus, ref gpus @ ..] = words[..] else {
            return None;
        };
        if !is_label(label) {
            return None;
        }
        let task = label.trim().strip_suffix(':');
        Some(Self {
            task: task.and_then(|task| task.parse().ok()),
            pid: pid.parse().ok()?,
            cpus: Cpus::read(cpus)?,
            // What is no list of GPUs names none.
            gpus: gpus.iter().filter_map(|word| Gpus::read(word)).collect(),
        })
    }

    /// How it differs from what this engine was given: `sees CPUs 0-3, not 0`; `None` where it does not.
    #[must_use]
    pub fn differs(&self, share: &Share) -> Option<String> {
        let cpus = share.cpus.as_ref().filter(|cpus| **cpus != self.cpus);
        let cpus = cpus.map(|given| format!("CPUs {}, not {given}", self.cpus));
        let gpus = share.gpus.as_ref().and_then(|given| {
            let same = |seen: &&Gpus| seen.vendor == given.vendor;
            let seen = self.gpus.iter().find(same);
            (seen != Some(given)).then(|| match seen {
                Some(seen) => format!("{seen}, not {given}"),
                None => format!("no {}, not {given}", given.vendor.variable()),
            })
        });
        let all: Vec<String> = cpus.into_iter().chain(gpus).collect();
        (!all.is_empty()).then(|| format!("sees {}", all.join(" and ")))
    }
}

/// A task that is bound to no CPUs, though that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbound {
    /// The node.
    pub node: String,
    /// Why.
    pub why: String,
}

/// How that line begins.
const UNBOUND: &str = "ipjob-engine without CPUs of its own on ";

impl Unbound {
    /// `ipjob-engine without CPUs of its own on node2: Slurm gave 4 CPUs ...`
    #[must_use]
    pub fn line(&self) -> String {
        format!("{UNBOUND}{}: {}", self.node, self.why)
    }

    /// Reads such a line, with the label that srun puts before it; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(UNBOUND)?;
        let (node, why) = rest.split_once(": ").filter(|_| is_label(label))?;
        let (node, why) = (node.to_owned(), why.trim().to_owned());
        let plain = !node.contains(char::is_whitespace) && !rest.trim().contains(char::is_control);
        plain.then_some(Self { node, why })
    }
}

impl fmt::Display for Unbound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "engines on {} are not bound to CPUs: {}",
            self.node, self.why
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::task_lines::{Line, read};
    use crate::plan::topology::Vendor;

    #[test]
    fn what_an_engine_sees_is_compared_with_what_it_was_given() {
        let line = "12: ipjob-engine sees pid 7 cpus 0,1,8 CUDA_VISIBLE_DEVICES=1";
        let Some(Line::Sees(seen)) = read(line) else {
            panic!("{line} is not read");
        };
        assert_eq!((seen.task, seen.pid), (Some(12), 7));
        let share = |cpus: &str, list: &str, vendor| Share {
            threads: None,
            cpus: Cpus::read(cpus),
            gpus: Some(Gpus {
                vendor,
                list: vec![list.to_owned()],
            }),
        };
        let differs = |cpus, list, vendor| seen.differs(&share(cpus, list, vendor));
        assert_eq!(differs("0-1,8", "1", Vendor::Nvidia), None);
        assert_eq!(
            differs("0", "0", Vendor::Nvidia).as_deref(),
            Some("sees CPUs 0-1,8, not 0 and CUDA_VISIBLE_DEVICES=1, not CUDA_VISIBLE_DEVICES=0")
        );
        assert_eq!(
            differs("0-1,8", "1", Vendor::Amd).as_deref(),
            Some("sees no ROCR_VISIBLE_DEVICES, not ROCR_VISIBLE_DEVICES=1")
        );
        assert_eq!(seen.differs(&Share::default()), None);
        for other in [
            "print('ipjob-engine sees pid 7 cpus 0')",
            "ipjob-engine sees pid x cpus 0",
            "ipjob-engine sees nothing",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read(&format!("0: Running: {SIGHT_CODE}")), None);
    }

    #[test]
    fn why_a_task_is_unbound_survives_srun() {
        let told = Unbound {
            node: "node2".to_owned(),
            why: "Slurm gave 4 CPUs: of 8".to_owned(),
        };
        assert_eq!(
            Unbound::read(&format!("3: {}", told.line())),
            Some(told.clone())
        );
        assert_eq!(Unbound::read(&format!("print('{}')", told.line())), None);
    }
}
