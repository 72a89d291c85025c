use super::*;
use crate::here::profile::rendezvous::Leader;
use tokio::time::timeout;

/// A rank beside a leader on another host, as it is after its first look.
fn member(dir: &std::path::Path, silence: Duration) -> (Leader, Incarnation, Member) {
    let rank = Rank {
        number: 1,
        size: 2,
        key: "lab.13.0.0 40001".to_owned(),
        world: false,
        needs_guard: false,
        one_host: false,
        leftovers: Vec::new(),
    };
    let own = Incarnation {
        id: "lab.13.0.77".to_owned(),
        host: "node1".to_owned(),
        boot: "another".to_owned(),
        pid: 117,
        pid_start: 5,
    };
    let mut leader = Leader::call(dir, &rank, &own).expect("writable");
    leader.say(Word::Run).expect("writable");
    let (sender, notices) = mpsc::unbounded_channel();
    let seat = Seat::new(dir.to_owned(), &rank);
    let member = Member {
        place: Place {
            rank,
            node: "node2".to_owned(),
            step: None,
            variables: Vec::new(),
        },
        seat,
        notices,
        _sender: sender,
        asked: None,
        leader_first: LEADER_FIRST,
        memory: None,
        untold: None,
        beat: (0, OwnTime::now()),
        silence,
    };
    (leader, own, member)
}

/// What comes of it within so long.
fn within(limit: Duration, watch: impl Future<Output = WorkEnd>) -> Option<WorkEnd> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async { timeout(limit, watch).await.ok() })
}

#[test]
fn a_rank_without_an_engine_leaves_a_leader_whose_host_is_gone() {
    let home = tempfile::tempdir().expect("a directory");
    let silence = Duration::from_millis(600);
    let (_leader, own, mut member) = member(&home.path().join("ipython/meeting"), silence);
    let end = within(Duration::from_secs(60), member.watch(&mut None, &own));
    assert_eq!(end, Some(WorkEnd::Silence));
    assert!(
        member
            .left_alone(&own)
            .contains("pid 117 on node1) has shown no sign of life")
    );
}

#[test]
fn a_rank_with_an_engine_or_a_leader_that_beats_stays() {
    let home = tempfile::tempdir().expect("a directory");
    let silence = Duration::from_millis(600);
    let (mut leader, own, mut member) = member(&home.path().join("ipython/meeting"), silence);
    // A process that is no child: nobody tells of its end.
    let mut pid = Some(u32::MAX);
    assert_eq!(within(3 * silence, member.watch(&mut pid, &own)), None);
    member.silence = Duration::from_secs(2);
    member.beat.1 = OwnTime::now();
    let beats = std::thread::spawn(move || {
        for _ in 0..40 {
            leader.beat().expect("writable");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let mut pid = None;
    let watch = member.watch(&mut pid, &own);
    assert_eq!(within(Duration::from_secs(4), watch), None);
    beats.join().expect("it beats");
}
