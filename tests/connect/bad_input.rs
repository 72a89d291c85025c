use super::{Connect, refused};
use crate::support::{Lab, lab::ALICE};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

/// Writes a file into alice's home on the cluster, as hers.
fn write(lab: &Lab, path: &str, text: &str) {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(lab.home("")).expect("a home");
    let file = lab.home(path);
    let mut made: &Path = &file;
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    fs::write(&file, text).expect("written");
    while made != lab.home("") {
        chown(made, Some(owner.uid()), Some(owner.gid())).expect("given to alice");
        made = made.parent().expect("a home above");
    }
}

/// A record of a job that is ready, of which no such job exists.
fn record() -> Value {
    json!({
        "version": 1, "state": "ready", "mode": "notebook", "reason": null,
        "job": {"cluster": "local", "id": null, "nodes": ["node1"], "restart": 0, "deadline": null, "signal_to": null},
        "incarnation": {"id": "local.local.0.abc", "host": "node1", "boot": "b", "pid": 7, "pid_start": 1},
        "profile": {"name": "job_fake", "dir": "/home/alice/.ipython/profile_job_fake", "log_dir": "/x"},
        "launcher": "local", "step": null, "warnings": [], "exit": null, "host": "node1",
        "ip": "10.77.0.11", "port": 9, "token": "abc", "url": "http://10.77.0.11:9/lab?token=abc",
        "controller": {"client_file": "/home/alice/client.json", "pid": 8, "ipyparallel": "9.2.0"},
        "engines": {"expected": 1, "registered": 1, "missing": [], "list": []},
        "timeline": [], "started": "2026-11-22T14:10:00Z", "updated": "2099-11-22T14:10:00Z", "refresh_s": 60,
    })
}

fn client() -> Value {
    json!({"ssh": "", "interface": "tcp://10.77.0.11", "registration": 9, "mux": 10, "key": "k",
        "location": "node1", "pack": "json", "unpack": "json", "signature_scheme": "hmac-sha256"})
}

fn publish(lab: &Lab, record: &Value, client: &str) {
    let text = serde_json::to_string_pretty(record).expect("JSON");
    write(lab, ".ipython/profile_job_fake/ipjob.json", &text);
    write(lab, "client.json", client);
}

#[test]
fn a_hostile_record_does_no_harm_on_the_laptop() {
    let lab = needed!(Lab::up(&[]));
    let good = client().to_string();
    let changed = |field: &str, value: Value| {
        let mut bad = record();
        *bad.pointer_mut(field).expect("a field") = value;
        bad
    };
    let client_with = |field: &str, value: Value| {
        let mut bad = client();
        bad[field] = value;
        bad.to_string()
    };
    let refused_cases = [
        (changed("/version", json!(2)), good.clone(), "version 2"),
        (
            changed("/token", json!("$(touch /tmp/pwned)")),
            good.clone(),
            "cannot be used",
        ),
        (
            changed("/url", json!("http://x/\u{1b}]0;pwned\u{7}lab")),
            good.clone(),
            "cannot be used",
        ),
        (
            changed("/ip", json!("-oProxyCommand=touch /tmp/pwned")),
            good.clone(),
            "cannot be used",
        ),
        (
            changed("/host", json!("-oProxyCommand=touch${IFS}/tmp/pwned")),
            good.clone(),
            "cannot be used",
        ),
        (
            changed("/port", json!("9; touch /tmp/pwned")),
            good.clone(),
            "cannot be used",
        ),
        (
            record(),
            client_with("interface", json!("tcp://$(touch /tmp/pwned)")),
            "cannot be used",
        ),
        (
            record(),
            client_with("unpack", json!("os.system")),
            "cannot be used",
        ),
        (record(), client_with("../../x", json!(7)), "cannot be used"),
        (record(), client_with("mux", json!(99999)), "cannot be used"),
    ];
    let no_client_files = [
        "/tmp/$(touch /tmp/pwned)",
        "/tmp/`touch /tmp/pwned`",
        "/tmp/x; touch /tmp/pwned",
    ];
    for (record, client, told) in refused_cases {
        publish(&lab, &record, &client);
        let (code, output) = refused(&lab, &["login:job_fake"]);
        assert_eq!(code, 5, "{record} {client}\n{output}");
        assert!(output.contains(told), "{told}: {output}");
        assert!(
            !output.contains('\u{1b}') && !output.contains('\u{7}'),
            "{output:?}"
        );
    }
    // A path that is no client file is never found; the record is read, and what its path says is not run.
    for path in no_client_files {
        let record = changed("/controller/client_file", json!(path));
        publish(&lab, &record, &good);
        let mut connect = Connect::start(&lab, "job_fake", &["-v", "login:job_fake"]);
        connect.wait_line("the record is read");
        let done = lab.shell(ALICE, "login", "ls /tmp/pwned");
        assert_ne!(done.code, 0, "{}", done.text);
        drop(connect.child.kill());
        connect.finish();
    }
    for machine in ["laptop", "login"] {
        let done = lab.shell(ALICE, machine, "ls /tmp/pwned");
        assert_ne!(done.code, 0, "{machine}: {}", done.text);
    }
    let left = fs::read_dir(lab.laptop_home(".ipython")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn a_record_that_is_cut_off_or_huge_is_told() {
    let lab = needed!(Lab::up(&[]));
    // As a full disk and a mad program leave it.
    let whole = serde_json::to_string_pretty(&record()).expect("JSON");
    for (text, told) in [
        (whole[..300].to_owned(), "cut off"),
        ("x".repeat(3_000_000), "longer than"),
    ] {
        write(&lab, ".ipython/profile_job_fake/ipjob.json", &text);
        let pointer = json!({"version": 1, "cluster": "lab", "job": "77", "profile": "job_77", "host": "node1",
            "record": "/home/alice/.ipython/profile_job_fake/ipjob.json"});
        write(
            &lab,
            ".local/state/ipjob/lab.77.json",
            &serde_json::to_string_pretty(&pointer).expect("JSON"),
        );
        let (code, output) = refused(&lab, &["login:77"]);
        assert_eq!(code, 5, "{output}");
        assert!(output.contains(told), "{told}: {output}");
    }
}

#[test]
fn jobs_that_are_none_are_told_apart() {
    let lab = needed!(Lab::up(&[]));
    let (code, output) = refused(&lab, &["login:4711"]);
    assert_eq!(code, 5, "{output}");
    assert!(output.contains("you have no job 4711"), "{output}");
    let (code, output) = refused(&lab, &["login:"]);
    assert_eq!(code, 5, "{output}");
    assert!(output.contains("no running ipjob jobs found"), "{output}");
    // Another user's.
    let done = lab.shell("bob", "login", "sbatch --parsable --hold -n1 --wrap true");
    let id = done.text.trim().to_owned();
    let (code, output) = refused(&lab, &[&format!("login:{id}")]);
    assert_eq!(code, 5, "{output}");
    assert!(output.contains("is bob's, and you are alice"), "{output}");
    // One that has ended.
    let job = lab.submit(
        &["-N1", "-n1"],
        "exec ipjob --mode cluster-only --mpi none -- true",
    );
    job.finish();
    let (code, output) = refused(&lab, &[&format!("login:{}", job.id)]);
    assert_eq!(code, 5, "{output}");
    assert!(output.contains("has ended: "), "{output}");
    // Words that a shell or ssh would act on never get that far.
    for target in ["-oProxyCommand=x:1", "$(id):1", "login:1;id", "login:../x"] {
        let (code, output) = refused(&lab, &["--", target]);
        assert_eq!(code, 2, "{target}: {output}");
    }
}
