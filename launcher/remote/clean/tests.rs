use super::super::find::Trace;
use super::super::sight::{Pointer, Sight};
use super::*;
use serde_json::{Value, json};

/// A job that has left this, seen on the host `login` of the cluster `lab`; `queue` is what squeue prints.
fn seen(queue: Queue, id: Option<&str>, changes: &[(&str, Value)]) -> Result<Remains, String> {
    let cluster = if id.is_some() { "lab" } else { "local" };
    let mut record = json!({
        "version": 1, "state": "ended", "reason": "SIGTERM", "job": {"cluster": cluster, "id": id, "nodes": ["n1"]},
        "incarnation": {"id": "lab.5.0.aa", "host": "login", "boot": "b-1", "pid": 42, "pid_start": 7},
        "profile": {"name": "p", "dir": "/h/profile_p"}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60
    });
    let mut pointer = json!({
        "version": 1, "cluster": cluster, "job": id, "profile": "p", "host": "login", "record": "/h/profile_p/ipjob.json"
    });
    for (field, value) in changes {
        let (file, field) = match field.strip_prefix("pointer:") {
            Some(field) => (&mut pointer, field),
            None => (&mut record, *field),
        };
        *file.pointer_mut(field).expect("a field") = value.clone();
    }
    let sight = Sight::read(record.to_string().as_bytes()).expect("a record");
    let trace = Trace {
        pointer_path: Some("/s/x.json".to_owned()),
        pointer: Some(Pointer::read(pointer.to_string().as_bytes())),
        record_path: pointer["record"].as_str().map(str::to_owned),
        record: Record::Seen(Box::new(sight)),
        process: Some((42, String::new())),
    };
    let found = Found {
        host: "login".to_owned(),
        boot: "b-1".to_owned(),
        user: "ada".to_owned(),
        now: "2026-11-22T14:10:00Z".parse().expect("a time"),
        cluster: Some("lab".to_owned()),
        queue,
        foreign: None,
        traces: vec![trace],
    };
    let jobs = jobs::chosen(&found, None, "here").expect("jobs");
    remains(&found, &jobs[0])
}

fn told(line: &str) -> Queue {
    Queue::read(Some(0), line)
}

#[test]
fn only_what_certainly_ended_is_removed() {
    let whole = Remains {
        pointer: "/s/x.json".to_owned(),
        record: "/h/profile_p/ipjob.json".to_owned(),
        life: "lab.5.0.aa".to_owned(),
    };
    let only_pointer = Remains {
        pointer: whole.pointer.clone(),
        ..Remains::default()
    };
    let ready = || ("/state", json!("ready"));
    let old = || ("/updated", json!("2026-11-22T13:00:00Z"));
    let job = Some("5");
    assert_eq!(seen(told(""), job, &[]), Ok(whole.clone()));
    assert_eq!(
        seen(told(""), job, &[ready()]),
        Ok(whole.clone()),
        "squeue does not know it: dead"
    );
    assert_eq!(
        seen(told("5|5|TIMEOUT|1|1|1|n|ada|r|x"), job, &[ready()]),
        Ok(whole.clone())
    );
    assert_eq!(seen(Queue::Absent, None, &[]), Ok(whole.clone()));
    assert_eq!(
        seen(Queue::Absent, None, &[ready(), old()]),
        Ok(whole.clone())
    );
    assert_eq!(
        seen(told(""), job, &[("/job/id", json!("6"))]),
        Ok(only_pointer),
        "used again"
    );
}

#[test]
fn in_doubt_nothing_is_removed() {
    let ready = || ("/state", json!("ready"));
    let old = || ("/updated", json!("2026-11-22T13:00:00Z"));
    let job = Some("5");
    let eiger = || {
        vec![
            ("/job/cluster", json!("eiger")),
            ("pointer:/cluster", json!("eiger")),
        ]
    };
    for (queue, id, changes, doubt) in [
        (
            told("5|5|RUNNING|1|1|1|n|ada|r|x"),
            job,
            vec![],
            "squeue says RUNNING",
        ),
        (
            told("5|5|COMPLETING|1|1|1|n|ada|r|x"),
            job,
            vec![],
            "squeue says COMPLETING",
        ),
        (
            told("5|5|PENDING|1|1|1|n|ada|r|x"),
            job,
            vec![],
            "squeue says PENDING",
        ),
        (
            Queue::Silent("down".to_owned()),
            job,
            vec![],
            "squeue: down",
        ),
        (Queue::Absent, job, vec![], "no squeue"),
        (told(""), job, eiger(), "cluster eiger"),
        (
            told(""),
            job,
            vec![("pointer:/cluster", Value::Null)],
            "another job's",
        ),
        (
            told(""),
            job,
            vec![("/profile/name", json!("../p"))],
            "does not tell its profile",
        ),
        (
            told(""),
            job,
            vec![("/profile/dir", json!("/h/profile_p/../.."))],
            "does not tell its profile",
        ),
        (
            told(""),
            job,
            vec![("/profile/dir", json!("/h"))],
            "says that its profile is /h",
        ),
        (
            told(""),
            job,
            vec![
                ("/profile/dir", json!("/home")),
                ("pointer:/record", json!("/home/ipjob.json")),
            ],
            "says that its profile is /home",
        ),
        (
            told(""),
            job,
            vec![("/incarnation/id", json!("a; b"))],
            "does not tell its profile",
        ),
        (Queue::Absent, None, vec![ready()], "its record is young"),
        (
            Queue::Absent,
            None,
            vec![ready(), old(), ("/incarnation/host", json!("other"))],
            "not seen from login",
        ),
        (
            Queue::Absent,
            None,
            vec![
                ("pointer:/cluster", json!("lab")),
                ("/job/cluster", json!("lab")),
            ],
            "no job id",
        ),
    ] {
        let kept = seen(queue.clone(), id, &changes).expect_err(doubt);
        assert!(
            kept.contains(doubt),
            "{doubt:?} in {kept:?} for {queue:?} {changes:?}"
        );
    }
}

#[test]
fn names_that_earlier_versions_took_are_cleaned() {
    for name in ["my job", "7", "-a"] {
        let dir = format!("/h/profile_{name}");
        let record = format!("{dir}/ipjob.json");
        let changes = [
            ("/profile/name", json!(name)),
            ("/profile/dir", json!(dir)),
            ("pointer:/profile", json!(name)),
            ("pointer:/record", json!(record)),
        ];
        let remains = seen(Queue::Absent, None, &changes).expect("it goes");
        assert_eq!(remains.record, record);
    }
}
