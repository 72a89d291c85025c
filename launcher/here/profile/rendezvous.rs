//! Where ranks meet: a private directory beside the profile. The leader makes it, says its word in it and removes it; every
//! other rank reads the word and leaves its own files there. All of them replace files as a whole.
//!
//! docs/design/ranks.md explains the design.

use super::directory;
use crate::failure::{Failure, Outcome};
use crate::here::os::own_time::OwnTime;
use crate::here::os::secure_path::{self, Fault};
use crate::here::os::time_limited::{LOOK, insist};
use crate::here::os::{files, process};
use crate::plan::exit::RankEnd;
use crate::plan::incarnation::Incarnation;
use crate::plan::ranks::Rank;
use crate::plan::rendezvous::{Message, Order, VERSION, Word};
use crate::plan::task_lines::Report;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The longest message that is read.
const LONGEST: u64 = 256 * 1024;

/// How long a leader that has failed waits for the others to hear it: some may only be starting.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

/// The file with the leader's word.
const WORD: &str = "leader.json";

/// The leader's side.
#[derive(Debug)]
pub struct Leader {
    dir: PathBuf,
    size: u32,
    message: Message,
}

impl Leader {
    /// Makes the place anew and tells the others to wait.
    pub fn call(dir: &Path, rank: &Rank, own: &Incarnation) -> Outcome<Self> {
        let unusable = |fault: Fault| {
            Failure::missing(format!("the ranks cannot meet in {}", dir.display()))
                .because(fault)
                .hint("check that the IPython directory is yours, writable and not full; --ipython-dir chooses another")
        };
        if let Some(ipython_dir) = dir.parent() {
            directory::ipython_dir(ipython_dir)?;
        }
        // Nothing but an earlier life of ours by the same name can have left it.
        files::remove_tree(dir).map_err(|error| unusable(error.into()))?;
        files::private_directory(dir).map_err(unusable)?;
        let message = Message {
            version: VERSION,
            key: rank.key.clone(),
            leader: own.clone(),
            pid_namespace: process::pid_namespace(),
            word: Word::Run,
            beat: 0,
            order: None,
        };
        let mut leader = Self {
            dir: dir.to_owned(),
            size: rank.size,
            message,
        };
        leader.beat().map_err(|error| unusable(error.into()))?;
        Ok(leader)
    }

    /// Gives the order by which engines are started.
    pub fn order(&mut self, order: &Order) -> io::Result<()> {
        self.message.order = Some(order.clone());
        self.say(Word::Run)
    }

    /// Says another word.
    pub fn say(&mut self, word: Word) -> io::Result<()> {
        self.message.word = word;
        self.beat()
    }

    /// Shows that the leader lives.
    pub fn beat(&mut self) -> io::Result<()> {
        self.message.beat += 1;
        let text = serde_json::to_vec(&self.message).map_err(io::Error::other)?;
        let path = self.dir.join(WORD);
        insist(LOOK, move || files::replace(&path, &text))
            .unwrap_or_else(|| Err(io::Error::other("its file system does not answer")))
    }

    /// Where it is, for the watch over the other ranks.
    pub fn place(&self) -> &Path {
        &self.dir
    }

    /// Says that there will be no cluster, and ends the meeting when all have heard it.
    pub fn refuse(mut self) {
        if self.say(Word::Kill).is_ok() {
            let begin = OwnTime::now();
            let all =
                |dir: &Path, size: u32| (1..size).all(|rank| dir.join(ended_name(rank)).exists());
            while begin.elapsed() < REFUSAL_PATIENCE && !all(&self.dir, self.size) {
                // Nothing else is left to be done: there was no job, or it has ended.
                thread::sleep(Duration::from_millis(20));
            }
        }
        self.close();
    }

    /// Ends the meeting: nothing of it is left.
    pub fn close(self) {
        let _ = files::remove_tree(&self.dir);
    }
}

/// What another rank sees of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: it has not come, or its word cannot be read just now.
    Nothing,
    /// It was seen, and has ended the meeting: the directory in which that lay is the same, and has it no more.
    Over,
    /// It was seen and its process has ended.
    Dead(Incarnation),
    /// Its word.
    Says(Box<Message>),
}

/// Another rank's side.
#[derive(Clone, Debug)]
pub struct Seat {
    dir: PathBuf,
    rank: u32,
    key: String,
    /// The directory above (device and inode) when the leader was seen: an unmounted home is another one, or none.
    above: Option<(u64, u64)>,
}

impl Seat {
    /// The place of a rank.
    pub fn new(dir: PathBuf, rank: &Rank) -> Self {
        Self {
            dir,
            rank: rank.number,
            key: rank.key.clone(),
            above: None,
        }
    }

    /// Where the leader is waited for.
    pub fn place(&self) -> &Path {
        &self.dir
    }

    /// Looks at the leader. What another user wrote, or a leader of another start, is nothing.
    pub fn look(&mut self) -> Sight {
        let message = self
            .read()
            .filter(|message| message.version == VERSION && message.key == self.key);
        let Some(message) = message else {
            return if self.is_over() {
                Sight::Over
            } else {
                Sight::Nothing
            };
        };
        self.above = self.above.or_else(|| self.identity_above());
        let leader = &message.leader;
        let visible =
            leader.boot == process::boot_id() && message.pid_namespace == process::pid_namespace();
        let lives = || {
            process::stat(leader.pid)
                .is_some_and(|stat| stat.runs() && stat.start == leader.pid_start)
        };
        if visible && !lives() {
            return Sight::Dead(message.leader);
        }
        Sight::Says(Box::new(message))
    }

    /// Whether the meeting was there and has been ended. That a name leads nowhere tells nothing: so it is with a home that is away.
    fn is_over(&self) -> bool {
        let gone = || {
            let look = fs::symlink_metadata(&self.dir);
            look.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        self.above.is_some() && gone() && self.identity_above() == self.above
    }

    fn identity_above(&self) -> Option<(u64, u64)> {
        let above = fs::metadata(self.dir.parent()?).ok()?;
        Some((above.dev(), above.ino()))
    }

    fn read(&self) -> Option<Message> {
        // A network file system may remember for a minute that a name was not there; reading the directory above makes it
        // ask again.
        if !self.dir.exists() {
            let _ = fs::read_dir(self.dir.parent()?).map(Iterator::count);
        }
        secure_path::own(&self.dir).ok()?;
        let file = File::open(self.dir.join(WORD)).ok()?;
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Tells which process the engine is.
    pub fn report(&self, report: &Report) -> io::Result<()> {
        let path = self.dir.join(report_name(self.rank));
        files::replace(&path, report.line().as_bytes())
    }

    /// Ends the meeting of a leader that is seen to be dead: ranks on other hosts, which cannot see it, then end as well.
    pub fn dissolve(&self) {
        let _ = files::remove_tree(&self.dir);
    }

    /// Tells that the engine has ended, or that there will be none.
    pub fn ended(&self, end: &RankEnd) -> io::Result<()> {
        let text = serde_json::to_vec(end).map_err(io::Error::other)?;
        files::replace(&self.dir.join(ended_name(self.rank)), &text)
    }
}

fn report_name(rank: u32) -> String {
    format!("rank-{rank}")
}

fn ended_name(rank: u32) -> String {
    format!("rank-{rank}.ended")
}

/// The engine that a rank has reported.
#[must_use]
pub fn reported(dir: &Path, rank: u32) -> Option<Report> {
    Report::read(&fs::read_to_string(dir.join(report_name(rank))).ok()?)
}

/// How a rank's engine has ended.
#[must_use]
pub fn ended(dir: &Path, rank: u32) -> Option<RankEnd> {
    serde_json::from_slice(&fs::read(dir.join(ended_name(rank))).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::exit::{Exit, OutOfMemory};
    use crate::plan::share::Share;
    use std::os::unix::fs::PermissionsExt;

    fn rank(number: u32) -> Rank {
        Rank {
            number,
            size: 2,
            key: "lab.13.0.0 40001".to_owned(),
            world: false,
            needs_guard: false,
            one_host: true,
            leftovers: Vec::new(),
        }
    }

    fn own() -> Incarnation {
        let pid = std::process::id();
        Incarnation {
            id: "lab.13.0.77".to_owned(),
            host: "vm".to_owned(),
            boot: process::boot_id(),
            pid,
            pid_start: process::stat(pid).map_or(0, |stat| stat.start),
        }
    }

    /// A leader, and the rank that looks at it.
    fn pair(incarnation: &Incarnation) -> (tempfile::TempDir, Leader, Seat) {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("ipython/meeting");
        let leader = Leader::call(&dir, &rank(0), incarnation).expect("writable");
        (home, leader, Seat::new(dir, &rank(1)))
    }

    fn word(seat: &mut Seat) -> Option<Word> {
        match seat.look() {
            Sight::Says(message) => Some(message.word),
            _ => None,
        }
    }

    #[test]
    fn a_word_is_heard_and_answered_and_nothing_is_left() {
        let (home, mut leader, mut seat) = pair(&own());
        assert_eq!(word(&mut seat), Some(Word::Run));
        leader.say(Word::Stop).expect("writable");
        assert_eq!(word(&mut seat), Some(Word::Stop));
        let report = Report {
            rank: 1,
            node: "node2".to_owned(),
            pid: 117,
            step: None,
            memory: None,
            share: Share::default(),
        };
        seat.report(&report).expect("writable");
        let end = RankEnd {
            pid: 117,
            exit: Exit::Code(1),
            memory: Some(OutOfMemory {
                node: "node2".to_owned(),
                limit: Some(1 << 30),
            }),
        };
        seat.ended(&end).expect("writable");
        assert_eq!(reported(leader.place(), 1), Some(report));
        assert_eq!(ended(leader.place(), 1), Some(end));
        leader.close();
        assert_eq!(seat.look(), Sight::Over);
        assert_eq!(
            Seat::new(seat.dir.clone(), &rank(1)).look(),
            Sight::Nothing,
            "who came too late has seen none"
        );
        assert_eq!(
            fs::read_dir(home.path().join("ipython"))
                .expect("there")
                .count(),
            0
        );
    }

    #[test]
    fn a_refusal_ends_when_all_have_heard_it() {
        let (_home, leader, seat) = pair(&own());
        seat.ended(&RankEnd {
            pid: 0,
            exit: Exit::Code(0),
            memory: None,
        })
        .expect("writable");
        let begin = OwnTime::now();
        leader.refuse();
        assert!(begin.elapsed() < REFUSAL_PATIENCE);
        assert!(!seat.place().exists());
    }

    #[test]
    fn a_leader_that_is_dead_is_seen_to_be() {
        let dead = Incarnation {
            pid_start: 1,
            ..own()
        };
        let (_home, _leader, mut seat) = pair(&dead);
        assert_eq!(seat.look(), Sight::Dead(dead));
    }

    #[test]
    fn a_leader_of_another_start_is_nobody() {
        let (_home, leader, _) = pair(&own());
        let other = Rank {
            key: "lab.13.1.0 40001".to_owned(),
            ..rank(1)
        };
        assert_eq!(
            Seat::new(leader.place().to_owned(), &other).look(),
            Sight::Nothing
        );
        fs::write(leader.place().join(WORD), b"{\"version\": 1}").expect("writable");
        let mut seat = Seat::new(leader.place().to_owned(), &rank(1));
        assert_eq!(seat.look(), Sight::Nothing);
    }

    #[test]
    fn a_home_that_is_away_ends_no_meeting() {
        let (home, leader, mut seat) = pair(&own());
        assert_eq!(word(&mut seat), Some(Word::Run));
        let (here, away) = (home.path().join("ipython"), home.path().join("away"));
        fs::rename(&here, &away).expect("renamed");
        assert_eq!(seat.look(), Sight::Nothing, "no directory");
        fs::create_dir(&here).expect("a directory");
        assert_eq!(seat.look(), Sight::Nothing, "the one below a mount");
        fs::remove_dir(&here).expect("empty");
        fs::rename(&away, &here).expect("renamed");
        assert_eq!(word(&mut seat), Some(Word::Run));
        fs::set_permissions(leader.place().join(WORD), fs::Permissions::from_mode(0o000))
            .expect("ours");
        if !nix::unistd::geteuid().is_root() {
            assert_eq!(seat.look(), Sight::Nothing, "it cannot be read");
        }
        leader.close();
        assert_eq!(seat.look(), Sight::Over);
    }
}
