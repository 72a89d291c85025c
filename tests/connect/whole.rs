use super::{Connect, assert_nothing_left, configure_sshd, status, views};
use crate::support::{Lab, lab::ALICE, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

/// In place of a browser: notes its arguments and the file that they name, with its mode.
const BROWSER: &str = r#"#!/bin/sh
file=${1#file://}
{ echo "$(stat -c %a "$file") $*"; cat "$file"; } >"$HOME/opening"
mv "$HOME/opening" "$HOME/opened"
"#;

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn a_job_that_still_waits_is_used_from_the_laptop_after_one_login() {
    let lab = needed!(Lab::up(&[]));
    configure_sshd(&lab, "login", "MaxSessions 1");
    let body = "export IPYTHONDIR=$HOME/else/where; exec ipjob --mode notebook --mpi none";
    let job = lab.submit(&["-N2", "-n2", "--ntasks-per-node=1", "--hold"], body);
    let profile = format!("job_{}", job.id);
    let target = format!("login:{}", job.id);
    let browser = lab.share().join("xdg-open");
    fs::write(&browser, BROWSER).expect("written");
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).expect("set");
    let mut connect = Connect::start(&lab, &profile, &["--open", &target]);
    connect.wait_line("the job is pending (JobHeldUser)");
    lab.shell(ALICE, "login", &format!("scontrol release {}", job.id));
    connect.wait_line("the job is starting: engines 0/2");
    let url = connect.wait_url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(status(&lab, &url), "200");
    let opened = wait_for("the browser", || {
        fs::read_to_string(lab.laptop_home("opened")).ok()
    });
    let (told, page) = opened.split_once('\n').expect("two lines");
    let token = url.split_once("token=").expect("a token").1;
    assert!(told.starts_with("600 file:///"), "{told}");
    assert!(!told.contains(token), "{told}");
    assert!(page.contains(&format!("url={url}\"")), "{page}");
    assert_eq!(views(&lab, &profile), "[0, 1]");
    let logins = lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins, 1, "{}", lab.sshd_log("login"));

    let dir = lab.laptop_home(format!(".ipython/profile_{profile}"));
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("security/ipcontroller-client.json")), 0o600);
    let place = connect.marker()["private"]
        .as_str()
        .expect("a path")
        .to_owned();
    let modes = lab.shell(ALICE, "laptop", &format!("stat -c %a {place} {place}/s"));
    assert_eq!(modes.text, "700\n600\n");

    let (code, output) = super::refused(&lab, &[&target]);
    assert_eq!(code, 2, "{output}");
    assert!(
        output.contains("is already connected")
            && output.contains("ipjob-connect.json")
            && !output.contains(&url),
        "{output}"
    );

    let said = connect.interrupt();
    assert_eq!(said.matches("ready: job").count(), 1, "{said}");
    assert!(
        said.contains("disconnected; the job keeps running"),
        "{said}"
    );
    // The job has not noticed.
    let line = lab.shell(ALICE, "login", &format!("squeue -h -o %T -j {}", job.id));
    assert_eq!(line.text.trim(), "RUNNING");
    lab.shell(ALICE, "login", &format!("scancel {}", job.id));
    job.finish();
}

#[test]
fn engines_alone_are_used_by_every_way_and_the_end_of_the_job_is_the_end() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode cluster-only --mpi none");
    job.wait_state("ready");
    for way in ["forward", "jump"] {
        let mut connect = Connect::start(
            &lab,
            "mine",
            &["--via", way, "--profile", "mine", "--json", "login:"],
        );
        let line = connect.wait_line("client_ports");
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(told["url"], serde_json::Value::Null);
        assert_eq!(
            told["client_ports"].as_object().map(serde_json::Map::len),
            Some(7),
            "{told}"
        );
        assert_eq!(told["profile"], "mine");
        assert_eq!(views(&lab, "mine"), "[0]", "{way}");
        connect.interrupt();
    }
    // On the login node nothing has to be carried.
    let here = lab
        .on(ALICE, "login")
        .args(["ipjob", "connect", &job.id])
        .output();
    let here = here.expect("lab runs");
    assert_eq!(here.status.code(), Some(0), "{here:?}");

    let target = format!("login:{}", job.id);
    let profile = format!("job_{}", job.id);
    let mut connect = Connect::start(&lab, &profile, &[&target]);
    connect.wait_line("ready: job");
    job.cancel();
    let (code, output) = connect.finish();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("has ended: SIGTERM (exit code 0)"),
        "{output}"
    );
    assert_nothing_left(&lab, &profile);
}

#[test]
fn services_on_the_node_s_loopback_address_are_reached_through_the_node() {
    let lab = needed!(Lab::up(&[]));
    let body = "exec ipjob --mode notebook --mpi none --address lo --jupyter-address 127.0.0.1";
    let job = lab.submit(&["-N1", "-n1"], body);
    let record = job.wait_state("ready");
    assert_eq!(record["ip"], "127.0.0.1");
    let printed = job.wait_line("without ipjob there:");
    assert!(
        printed.contains("-J login ") && printed.matches(" -L ").count() == 8,
        "{printed}"
    );
    let profile = format!("job_{}", job.id);
    let mut connect = Connect::start(&lab, &profile, &[&format!("login:{}", job.id)]);
    let url = connect.wait_url();
    assert_eq!(status(&lab, &url), "200");
    assert_eq!(views(&lab, &profile), "[0]");
    connect.interrupt();
    job.cancel();
}

#[test]
fn each_cluster_of_a_job_is_awaited_and_reached_by_its_profile() {
    let lab = needed!(Lab::up(&[]));
    let start = "ipjob --mode cluster-only --mpi none -n 1";
    let job = lab.submit(
        &["-N1", "-n2"],
        &format!("{start} --detach && exec {start}"),
    );
    let (first, second) = (format!("job_{}", job.id), format!("job_{}-2", job.id));
    let record = lab.home(format!(".ipython/profile_{second}/ipjob.json"));
    wait_for(&format!("the second: {}", job.output()), || {
        record.exists().then_some(())
    });
    let wait = |words: &str| lab.shell(ALICE, "laptop", &format!("ipjob wait login:{words}"));
    let expect = |words: &str, code: i32, text: &str| {
        let done = wait(words);
        assert_eq!(done.code, code, "{words}: {}", done.text);
        assert!(done.text.contains(text), "{words}: {}", done.text);
    };
    let (one, two) = (first.as_str(), second.as_str());
    expect(&format!("{two} --timeout 60s"), 0, "is ready");
    expect(&format!("{one} --for ready"), 0, "is ready");
    let several = format!("job {} has several clusters: {one}, {two}", job.id);
    expect(&job.id, 2, &several);
    expect(
        &format!("{two} --for ended --timeout 10ms"),
        3,
        "is still ready",
    );
    expect("4711", 5, "you have no job 4711 on login");

    let mut reached = Connect::start(&lab, one, &[&format!("login:{}", job.id)]);
    reached.wait_line(&format!(
        "{} is also the name of other clusters: {two} (give a profile",
        job.id
    ));
    let mut other = Connect::start(&lab, two, &[&format!("login:{two}")]);
    other.wait_line("ready: job");
    for profile in [one, two] {
        assert_eq!(views(&lab, profile), "[0]");
    }
    // The end of the one is not the other's.
    let ended = lab
        .on(ALICE, "laptop")
        .args(["ipjob", "wait", &format!("login:{one}"), "--for", "ended"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("lab runs");
    let stopped = lab.shell(ALICE, "laptop", &format!("ipjob stop login:{one}"));
    assert_eq!(stopped.code, 0, "{}", stopped.text);
    let ended = ended.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(text.contains("has ended: SIGTERM (exit code 0)"), "{text}");
    expect(&format!("{one} --for ready"), 3, "is ended");
    let (code, output) = reached.finish();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("has ended: SIGTERM"), "{output}");
    assert_eq!(views(&lab, two), "[0]");
    job.scancel();
    let (code, output) = other.finish();
    assert_eq!(code, 0, "{output}");
    job.finish();
}
