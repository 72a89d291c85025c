use super::*;
use crate::plan::exit::{Exit, OutOfMemory};
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
    assert_eq!(word(&mut seat), Some(Word::Wait));
    leader.say(Word::Stop).expect("writable");
    assert_eq!(word(&mut seat), Some(Word::Stop));
    let report = Report {
        rank: 1,
        node: "node2".to_owned(),
        pid: 117,
        step: None,
        memory: None,
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
    assert_eq!(word(&mut seat), Some(Word::Wait));
    let (here, away) = (home.path().join("ipython"), home.path().join("away"));
    fs::rename(&here, &away).expect("renamed");
    assert_eq!(seat.look(), Sight::Nothing, "no directory");
    fs::create_dir(&here).expect("a directory");
    assert_eq!(seat.look(), Sight::Nothing, "the one below a mount");
    fs::remove_dir(&here).expect("empty");
    fs::rename(&away, &here).expect("renamed");
    assert_eq!(word(&mut seat), Some(Word::Wait));
    fs::set_permissions(leader.place().join(WORD), fs::Permissions::from_mode(0o000))
        .expect("ours");
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(seat.look(), Sight::Nothing, "it cannot be read");
    }
    leader.close();
    assert_eq!(seat.look(), Sight::Over);
}
