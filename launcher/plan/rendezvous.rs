//! What ranks tell each other where they meet: the first says what is to be done, every other one how it fares.

use super::incarnation::Incarnation;
use super::name::Name;
use super::profile;
use super::service::Process;
use super::{bind, threads};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The shape of the message; a leader of another version of ipjob is not believed.
pub const VERSION: u32 = 5;

/// Between two looks at the leader's word, for a few ranks: more look less often, because all of them look at one file of a
/// shared file system.
const PAUSE: Duration = Duration::from_millis(250);

/// The most that this grows to.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The least that a rank which was asked to end by a signal waits for the leader's word: the leader got the signal too.
pub const LEADER_FIRST: Duration = Duration::from_secs(2);

/// So many ranks look at [`PAUSE`].
const FEW: u32 = 64;

/// How long to wait between two looks at the leader's word.
#[must_use]
pub fn pause(size: u32) -> Duration {
    (PAUSE * (size / FEW).max(1)).min(LONGEST_PAUSE)
}

/// What the leader wants of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Run an engine by the order, once there is one.
    Run,
    /// End it in order, and start none.
    Stop,
    /// Kill it, and start none.
    Kill,
}

/// What the leader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// [`VERSION`].
    pub version: u32,
    /// What only ranks of this start have: a message of any other start is none.
    pub key: String,
    /// Who leads.
    pub leader: Incarnation,
    /// Where the leader's process id holds: `pid:[4026531836]`.
    pub pid_namespace: String,
    /// What the others are to do.
    pub word: Word,
    /// Counts on as long as the leader runs. It ends nothing: only a rank whose engine has ended, and which sees the leader in no other
    /// way, goes by it.
    pub beat: u64,
    /// How an engine is started, once one may be.
    pub order: Option<Order>,
}

/// How every rank starts its engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The program.
    pub program: PathBuf,
    /// The arguments that all engines share.
    pub args: Vec<String>,
    /// Whether engines form one MPI world: then the rank is the id by itself.
    pub world: bool,
    /// Whether the starter's MPI variables stay in the engines' environment.
    pub keeps_mpi: bool,
    /// Variables that are set; none of them is secret.
    pub set: BTreeMap<String, String>,
    /// How many threads each engine gets; `None` where ipjob does not tell it.
    pub threads: Option<threads::Rule>,
    /// What each engine is bound to.
    pub bind: Option<bind::Rule>,
    /// Where logs go.
    pub log_dir: PathBuf,
    /// How long a rank that a signal asks to end waits for the leader's word: what ends before the engines has so long.
    pub leader_first: Duration,
    /// From the request to end to the kill.
    pub stop_limit: Duration,
}

impl Order {
    /// The engine of one rank.
    #[must_use]
    pub fn process(&self, rank: u32) -> Process {
        let mut args = self.args.clone();
        if !self.world {
            args.push(format!("--IPEngine.id={rank}"));
        }
        Process {
            program: self.program.clone(),
            args,
            log: self.log_dir.join(profile::log_name(Name::Engines, rank)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ranks_look_less_often() {
        assert_eq!(pause(6), Duration::from_millis(250));
        assert_eq!(pause(256), Duration::from_secs(1));
        assert_eq!(pause(10_000), Duration::from_secs(2));
    }

    #[test]
    fn an_engine_has_its_rank_as_its_id_with_and_without_mpi() {
        let mut order = Order {
            program: PathBuf::from("/v/bin/ipengine"),
            args: vec!["--mpi".to_owned()],
            world: true,
            keeps_mpi: true,
            set: BTreeMap::new(),
            threads: None,
            bind: None,
            log_dir: PathBuf::from("/p/log"),
            leader_first: Duration::from_secs(6),
            stop_limit: Duration::from_secs(6),
        };
        assert_eq!(order.process(3).args, ["--mpi"]);
        order.world = false;
        order.args.clear();
        assert_eq!(order.process(3).args, ["--IPEngine.id=3"]);
        assert_eq!(
            order.process(3).log,
            PathBuf::from("/p/log/ipjob-engine-3.log")
        );
    }
}
