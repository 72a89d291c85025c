use super::*;
use serde_json::json;

fn record() -> Value {
    json!({
        "version": 1, "state": "ready", "mode": "notebook", "reason": null,
        "job": {"cluster": "lab", "id": "12", "nodes": ["n1", "n2"], "restart": 1, "deadline": "2026-11-22T15:00:00Z",
                "signal_to": "batch"},
        "incarnation": {"id": "lab.12.1.9f3c0d5e7a11b2c4", "host": "n1", "boot": "b-1", "pid": 42, "pid_start": 7},
        "profile": {"name": "job_12", "dir": "/h/.ipython/profile_job_12", "log_dir": "/h/.ipython/profile_job_12/log"},
        "launcher": "srun", "step": "12.0", "warnings": ["careful"], "exit": null, "host": "n1", "ip": "10.0.0.11",
        "port": 8077, "token": "ab12", "url": "http://10.0.0.11:8077/me/lab?token=ab12",
        "controller": {"client_file": "/h/c.json", "pid": 1, "ipyparallel": "9.0"},
        "engines": {"expected": 24, "registered": 7, "missing": [], "list": []},
        "restarts": {"controller": 2, "engines": 0, "jupyter": 0},
        "timeline": [{"at": 0.42, "event": "controller ready"}],
        "started": "2026-11-22T14:00:00Z", "updated": "2026-11-22T14:10:00Z", "refresh_s": 60
    })
}

fn read(value: &Value) -> Sight {
    Sight::read(value.to_string().as_bytes()).expect("a record")
}

#[test]
fn a_good_record_is_seen_whole() {
    let sight = read(&record());
    assert_eq!(sight.faults, [""; 0]);
    assert_eq!(sight.state.as_deref(), Some("ready"));
    assert_eq!(sight.nodes, ["n1", "n2"]);
    assert_eq!(
        (sight.port, sight.page.as_deref()),
        (Some(8077), Some("/me/lab"))
    );
    assert_eq!((sight.registered, sight.expected), (Some(7), Some(24)));
    assert_eq!(sight.timeline, [(0.42, "controller ready".to_owned())]);
    assert_eq!(sight.signal_to.as_deref(), Some("batch"));
    assert_eq!(sight.restarts["controller"], 2);
    let at = |text: &str| text.parse().expect("a time");
    assert!(!sight.is_stale(at("2026-11-22T14:13:00Z")));
    assert!(sight.is_stale(at("2026-11-22T14:13:02Z")));
    assert!(
        !sight.is_stale(at("2026-11-22T14:00:00Z")),
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
        ("/profile/name", json!("a/b")),
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
        let sight = read(&bad);
        let good = read(&record());
        assert_ne!(sight, good, "{field} {wrong} is believed");
        let counts = usize::from(field != "/engines");
        assert_eq!(
            sight.faults.len(),
            counts,
            "{field} {wrong}: {:?}",
            sight.faults
        );
    }
    let mut zero = record();
    zero["port"] = json!(0);
    assert_eq!(read(&zero).port, None);
}

#[test]
fn text_cannot_play_with_the_terminal() {
    let mut bad = record();
    bad["reason"] = json!("\u{1b}]0;title\u{7}\u{1b}[2Jx\ny");
    bad["host"] = json!("n\u{9b}31m1");
    bad["mode"] = json!("m".repeat(100_000));
    let sight = read(&bad);
    assert_eq!(sight.reason.as_deref(), Some("]0;titlexy"));
    assert_eq!(sight.host.as_deref(), Some("n31m1"));
    assert!(sight.mode.is_some_and(|mode| mode.len() < 500));
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
        ("<html>", "it is no JSON"),
        ("[]", "it has no version"),
        ("{\"version\": \"1\"}", "it has no version"),
        ("{\"version\": 2}", "it is of version 2"),
        (&deep, "it is no JSON"),
        (&huge, "it is longer than"),
    ] {
        let fault = Sight::read(text.as_bytes()).expect_err(told);
        assert!(fault.starts_with(told), "{fault}");
    }
    assert!(Sight::read(&[0xff, 0xfe, b'{']).is_err());
    let bare = Sight {
        unchecked: json!({"version": 1}),
        ..Sight::default()
    };
    assert_eq!(Sight::read(b"{\"version\":1}"), Ok(bare));
}

#[test]
fn a_pointer_is_read_as_it_is_written() {
    let text = json!({"version": 1, "cluster": "lab", "job": null, "profile": "job_local", "host": "n1", "record": "/h/ipjob.json"});
    let pointer = Pointer::read(text.to_string().as_bytes()).expect("a pointer");
    assert_eq!(
        (pointer.cluster.as_deref(), pointer.job),
        (Some("lab"), None)
    );
    assert_eq!(pointer.record.as_deref(), Some("/h/ipjob.json"));
    for record in ["../x", "/a/../b", "x", "/a\u{0}b"] {
        let mut bad = text.clone();
        bad["record"] = json!(record);
        let pointer = Pointer::read(bad.to_string().as_bytes()).expect("a pointer");
        assert_eq!(pointer.record, None, "{record}");
    }
}
