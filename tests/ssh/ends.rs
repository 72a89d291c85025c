use super::{Session, assert_nothing_left, start, wait_for_file};
use crate::support::{Lab, lab::ALICE};

/// A command that says that it runs, and goes on.
fn lasts(name: &str) -> String {
    format!("touch {name}; exec tail -f /dev/null")
}

#[test]
fn sessions_end_with_the_job_and_say_so() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let target = format!("login:{}", job.id);
    let sessions = [
        ("laptop", "--node=node1", "one"),
        ("laptop", "--node=node1", "two"),
        ("login", "--node=node2", "three"),
    ]
    .map(|(machine, node, name)| {
        let target = if machine == "login" { &job.id } else { &target };
        Session::start(&lab, machine, &[node, target, "--", &lasts(name)])
    });
    for name in ["one", "two", "three"] {
        wait_for_file(&lab, name);
    }
    job.scancel();
    for session in sessions {
        let (code, _, errors) = session.finish();
        assert_eq!(code, 255, "{errors}");
        let is_told = [
            "is ending: squeue says COMPLETING",
            "is stopping: SIGTERM",
            "has ended: SIGTERM",
            "is ended: SIGTERM",
        ];
        assert!(
            is_told.iter().any(|words| errors.contains(words)),
            "{errors}"
        );
    }
    job.finish();
    assert_nothing_left(&lab, &job);
    assert!(!job.profile("ipjob-runtime").exists());
}

#[test]
fn whatever_ends_a_session_ends_all_of_it_and_no_other() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let target = format!("login:{}", job.id);
    let begin = |name: &str| {
        let session = Session::start(&lab, "laptop", &[&target, "--", &lasts(name)]);
        wait_for_file(&lab, name);
        session
    };
    // A window that is closed, what carries it killed, its step cancelled, its connection cut.
    let pids = |pattern: &str| {
        format!(
            "ps -o pid=,args= -u alice | sed -n 's/^ *\\([0-9]*\\) {pattern}.*/\\1/p' | tail -n 1"
        )
    };
    let cancel = format!(
        "scancel $(squeue -h -s -j {} -o %i | grep -v -e batch -e extern | sort -t. -k2 -n | tail -n 1)",
        job.id
    );
    let other = begin("other");
    for (name, machine, line, code, words) in [
        (
            "closed",
            "laptop",
            format!("kill -HUP $({})", pids("[^ ]*ssh -F none")),
            None,
            "",
        ),
        (
            "killed",
            "laptop",
            format!("kill -9 $({})", pids("[^ ]*ipjob ssh --proxy")),
            Some(255),
            "",
        ),
        ("cancelled", "login", cancel, Some(255), "was ended"),
        (
            "cut",
            "login",
            format!("kill $({})", pids("sshd\\(-session\\)*: alice")),
            Some(255),
            "the connection to login was lost",
        ),
    ] {
        let session = begin(name);
        let done = lab.shell(if name == "cut" { "root" } else { ALICE }, machine, &line);
        assert_eq!(done.code, 0, "{name}: {}", done.text);
        let (ended, _, errors) = session.finish();
        assert!(
            code.is_none_or(|code| code == ended),
            "{name}: {ended} {errors}"
        );
        assert!(errors.contains(words), "{name}: {errors}");
    }
    let still = lab.shell(ALICE, "node1", "ps -o args= -u alice | grep -c '^tail -f'");
    assert_eq!(still.text, "1\n", "the other session goes on");
    let end = lab.shell(ALICE, "node1", &format!("kill $({})", pids("tail -f")));
    assert_eq!(end.code, 0, "{}", end.text);
    other.finish();
    assert_nothing_left(&lab, &job);
    job.cancel();
}
