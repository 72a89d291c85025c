use super::*;
use serde_json::json;

fn record() -> Value {
    json!({
        "version": 1, "state": "ready", "mode": "notebook", "reason": null,
        "job": {"cluster": "lab", "id": "12", "nodes": ["n1", "n2"], "restart": 1, "deadline": "2026-11-22T15:00:00Z",
                "signal_to": "batch"},
        "incarnation": {"id": "lab.12.1.9f3c0d5e7a11b2c4", "host": "n1", "boot": "b-1", "pid": 42, "pid_start": 7},
        "profile": {"name": "job_12", "dir": "/h/.ipython/profile_job_12", "log_dir": "/h/.ipython/profile_job_12/log"},
        "launcher": "srun", "step": "12.0", "warnings": ["careful"], "hindered": {"controller": null, "jupyter": "no descriptor"}, "exit": null, "host": "n1", "ip": "10.0.0.11",
        "port": 8077, "token": "ab12", "url": "http://10.0.0.11:8077/me/lab?token=ab12",
        "controller": {"client_file": "/h/c.json", "pid": 1, "ipyparallel": "9.0"},
        "engines": {"expected": 24, "registered": 7, "missing": [], "list": []},
        "request": {"id": "1a-7", "state": "done", "text": "2/2"}, "restarts": {"controller": 2, "engines": 0, "jupyter": 0},
        "timeline": [{"at": 0.42, "event": "controller ready"}],
        "started": "2026-11-22T14:00:00Z", "updated": "2026-11-22T14:10:00Z", "refresh_s": 60
    })
}

fn read(value: &Value) -> Record {
    Record::read(value.to_string().as_bytes()).expect("a record")
}

#[test]
fn a_good_record_is_read_whole() {
    let record = read(&record());
    assert_eq!(record.faults, [""; 0]);
    assert_eq!(*record.state, Some(State::Ready));
    assert_eq!(record.job.nodes, ["n1", "n2"].map(Text::ours));
    assert_eq!(record.port.map(NonZeroU16::get), Some(8077));
    assert_eq!(record.url.as_ref().map(PageUrl::path), Some("/me/lab"));
    let engines = &record.engines;
    assert_eq!(
        (*engines.registered, *engines.expected),
        (Some(7), Some(24))
    );
    assert_eq!(record.timeline[0].at, Seconds::new(0.42));
    assert_eq!(record.job.signal_to, SignalTo::batch().into());
    assert_eq!(record.restarts.all().next(), Some(("controller", 2)));
    let hindered: Vec<_> = record.hindered.all().collect();
    assert_eq!(hindered, [("jupyter", &Text::ours("no descriptor"))]);
    let at = |text: &str| text.parse().expect("a time");
    assert!(!record.is_stale(at("2026-11-22T14:13:00Z")));
    assert!(record.is_stale(at("2026-11-22T14:13:02Z")));
    assert!(
        !record.is_stale(at("2026-11-22T14:00:00Z")),
        "a clock that goes before ours"
    );
}

#[test]
fn a_field_that_is_not_what_it_should_be_counts_as_missing() {
    for (field, wrong) in [
        ("/state", json!("fine")),
        ("/state", json!(7)),
        ("/restarts", json!({"controller": "many"})),
        ("/job/id", json!("12; id")),
        ("/job/id", json!(12)),
        ("/job/nodes", json!("n1")),
        ("/job/signal_to", json!("batch; id")),
        ("/job/signal_to", json!("1.2.3")),
        ("/job/deadline", json!("soon")),
        ("/incarnation/id", json!("a b")),
        ("/incarnation/pid", json!(-1)),
        ("/incarnation/pid", json!(1u64 << 40)),
        ("/profile/name", json!("../../etc")),
        ("/profile/name", json!("a/b")),
        ("/profile", json!(7)),
        ("/mode", json!("both")),
        ("/hindered", json!({"jupyter": 7})),
        ("/request", json!({"id": "1", "state": "fine"})),
        ("/request", json!({"id": "a b", "state": "done"})),
        ("/profile/dir", json!("relative")),
        ("/profile/dir", json!("/a/../../etc")),
        ("/profile/dir", json!("/a\n/b")),
        ("/profile/dir", json!(["/a"])),
        ("/ip", json!("10.0.0.11; id")),
        ("/port", json!(65536)),
        ("/port", json!("8077")),
        ("/token", json!("a'b")),
        ("/token", json!("x".repeat(1000))),
        ("/url", json!("javascript:alert(1)")),
        ("/url", json!("http://h:1/lab\u{1b}[31m")),
        ("/url", json!("http://h:1/`id`")),
        ("/controller/client_file", json!("../c.json")),
        ("/engines/expected", json!(1.5)),
        ("/engines", json!([])),
        ("/timeline", json!([{"at": -1, "event": "x"}])),
        ("/timeline", json!([7])),
        ("/updated", json!(0)),
    ] {
        let mut bad = record();
        *bad.pointer_mut(field).expect("a field") = wrong.clone();
        let mut read_bad = read(&bad);
        let faults = std::mem::take(&mut read_bad.faults);
        assert_ne!(read_bad, read(&record()), "{field} {wrong} is believed");
        assert_eq!(faults.len(), 1, "{field} {wrong}: {faults:?}");
        assert!(faults[0].starts_with(field), "{field} {wrong}: {faults:?}");
    }
    let mut zero = record();
    zero["port"] = json!(0);
    assert_eq!(*read(&zero).port, None);
}

#[test]
fn text_cannot_play_with_the_terminal() {
    let mut bad = record();
    bad["reason"] = json!("\u{1b}]0;title\u{7}\u{1b}[2Jx\ny");
    bad["host"] = json!("n\u{9b}31m1");
    bad["step"] = json!("m".repeat(100_000));
    let record = read(&bad);
    assert_eq!(record.reason.as_deref(), Some("]0;titlexy"));
    assert_eq!(record.host.as_deref(), Some("n31m1"));
    assert!(record.step.as_ref().is_some_and(|step| step.len() < 500));
}

#[test]
fn what_is_no_record_is_refused_with_its_fault() {
    let text = record().to_string();
    let deep = format!("{{\"version\":1,\"a\":{}", "[".repeat(100_000));
    let huge = " ".repeat(LONGEST_RECORD + 1);
    for (text, told) in [
        ("", "it is empty"),
        ("  \n", "it is empty"),
        (&text[..text.len() / 2], "it is cut off"),
        ("<html>", "it is not JSON"),
        ("[]", "it has no version"),
        ("{\"version\": \"1\"}", "it has no version"),
        ("{\"version\": 2}", "it has version 2"),
        (&deep, "it is not JSON"),
        (&huge, "it is longer than"),
    ] {
        let fault = Record::read(text.as_bytes()).expect_err(told);
        assert!(fault.starts_with(told), "{fault}");
    }
    assert!(Record::read(&[0xff, 0xfe, b'{']).is_err());
    let bare = Record {
        version: 1.into(),
        ..Record::default()
    };
    assert_eq!(Record::read(b"{\"version\":1}"), Ok(bare));
}

#[test]
fn states_are_told_by_their_words() {
    for state in [
        State::Starting,
        State::Ready,
        State::Degraded,
        State::Stopping,
        State::Ended,
    ] {
        assert_eq!(json!(state), state.word());
    }
}

/// As the first version with a documented form wrote it.
const FIRST: &[u8] = include_bytes!("../../tests/records/0.1.0.json");

#[test]
fn a_record_of_the_first_version_still_reads() {
    let record = Record::read(FIRST).expect("a record");
    assert_eq!(record.faults, [""; 0]);
    assert_eq!(*record.state, Some(State::Degraded));
    assert_eq!(record.job.id.as_deref(), Some("123"));
    assert_eq!(
        record.incarnation.id.as_deref(),
        Some("daint.123.0.9f3c0d5e7a11b2c4")
    );
    assert_eq!(
        record.profile.name.as_ref().map(ProfileName::as_str),
        Some("job_123")
    );
    assert_eq!(record.url.as_ref().map(PageUrl::path), Some("/lab"));
    let ids: Vec<u32> = record.engines.list.iter().map(|engine| engine.id).collect();
    assert_eq!((ids, &record.engines.missing), (vec![0, 1], &vec![1]));
    assert!(record.timeline.iter().any(Moment::is_ready));
    // What it did not write.
    assert_eq!(
        (*record.engines.guests, *record.controller.encrypted),
        (None, None)
    );
    assert_eq!((record.job.name, record.job.signal_to), Default::default());
    assert_eq!(
        (record.request, record.restarts.all().count()),
        (OrNull::default(), 0)
    );
    let of_profile = Record::of_profile(FIRST).and_then(|record| record.author());
    assert_eq!(of_profile.map(|life| life.pid), Some(4711));
}

#[test]
fn what_a_later_version_writes_takes_nothing_else_along() {
    let mut later = record();
    later["state"] = json!("paused");
    later["mode"] = json!("batch");
    later["launcher"] = json!("flux");
    later["new"] = json!({"a": [1]});
    later["engines"]["new"] = json!(1);
    let record = read(&later);
    assert_eq!(record.faults, ["/launcher", "/mode", "/state"]);
    assert_eq!((*record.state, record.has_ended()), (None, false));
    assert_eq!(*record.engines.expected, Some(24));
    later["version"] = json!(2);
    let life = Record::of_profile(later.to_string().as_bytes()).and_then(|record| record.author());
    assert!(life.is_some(), "a later version's own profile is not ours");
    assert!(Record::of_profile(b"{").is_none());
}

#[test]
fn a_long_list_keeps_the_start_and_what_was_last() {
    let mut list = Vec::new();
    for entry in 0..100_000_usize {
        push(&mut list, entry);
    }
    assert_eq!(list.len(), LONGEST_LIST);
    let half = LONGEST_LIST / 2;
    assert!(list[..half].iter().copied().eq(0..half));
    assert!(list[half..].iter().copied().eq(100_000 - half..100_000));
}
