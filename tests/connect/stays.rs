use super::{Connect, assert_nothing_left, cut, status, views};
use crate::support::{Lab, lab::ALICE};
use serde_json::Value;
use std::fs;

#[test]
fn a_cut_connection_and_a_requeued_job_keep_the_local_ports_and_a_refused_login_is_the_end() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N1", "-n1", "--requeue"],
        "exec ipjob --mode notebook --mpi none",
    );
    let profile = format!("job_{}", job.id);
    let mut connect = Connect::start(&lab, &profile, &[&format!("login:{}", job.id)]);
    let url = connect.wait_url();
    cut(&lab);
    connect.wait_line("the connection to login was lost");
    connect.wait_line("connected again");
    assert_eq!(status(&lab, &url), "200");
    assert_eq!(views(&lab, &profile), "[0]");
    let target = format!("login:{}", job.id);
    let json = ["--json", "--profile", "mine", &target];
    let mut program = Connect::start(&lab, "mine", &json);
    program.wait_line("\"token\":");

    let done = lab.shell(ALICE, "login", &format!("scontrol requeue {}", job.id));
    assert_eq!(done.code, 0, "{}", done.text);
    connect.wait_line("the job is pending (BeginTime)");
    connect.wait_lines("connected again", 2);
    // The same port, and the token of the new life: the old address is not let in any more.
    let marker = connect.marker();
    let now = marker["url"].as_str().expect("an address");
    let port = |url: &str| url.split('/').nth(2).map(str::to_owned);
    assert_eq!(port(now), port(&url));
    assert_ne!(now, url);
    assert_eq!(status(&lab, now), "200");
    assert_eq!(views(&lab, &profile), "[0]");
    // It is told to people, and to programs as a second line.
    let told = connect.wait_lines("jupyter  http", 2);
    assert!(told.ends_with(now), "{told}");
    assert!(connect.output().contains("the token is new"));
    let line = program.wait_lines("\"token\":", 2);
    let told: Value = serde_json::from_str(&line).expect("one object on one line");
    let token = now.split("token=").nth(1);
    assert_eq!(told["token"].as_str(), token, "{line}");
    program.signal("INT");
    let (code, output) = program.finish();
    assert_eq!(code, 0, "{output}");

    // As when a certificate has run out: ssh would have to ask.
    fs::remove_file(lab.home(".ssh/authorized_keys")).expect("removed");
    let tries = lab
        .sshd_log("login")
        .matches("Connection closed by authenticating user")
        .count();
    cut(&lab);
    let (code, output) = connect.finish();
    assert_eq!(code, 6, "{output}");
    assert!(output.contains("cannot log in again by itself"), "{output}");
    assert!(output.contains("Permission denied"), "{output}");
    assert!(
        output.contains("run the same `ipjob connect` again"),
        "{output}"
    );
    let more = lab
        .sshd_log("login")
        .matches("Connection closed by authenticating user")
        .count();
    assert_eq!(more - tries, 1, "it knocks once");
    assert_nothing_left(&lab, &profile);
}

#[test]
fn a_pulled_cable_is_noticed_and_what_a_killed_connect_left_is_cleaned_up() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode notebook --mpi none");
    job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let target = format!("login:{}", job.id);
    let mut connect = Connect::start(&lab, &profile, &[&target]);
    let url = connect.wait_url();
    let cable = |what: &str| {
        let done = lab.command("cable").args(["laptop", what]).output();
        assert!(done.is_ok_and(|output| output.status.success()));
    };
    cable("pull");
    connect.wait_line("the connection to login was lost");
    cable("plug");
    connect.wait_line("connected again");
    assert_eq!(status(&lab, &url), "200");

    connect.signal("KILL");
    let left = lab.laptop_home(format!(
        ".ipython/profile_{profile}/security/ipcontroller-client.json"
    ));
    let (code, _) = connect.finish();
    assert_ne!(code, 0);
    assert!(left.exists());
    let mut second = Connect::start(&lab, &profile, &[&target]);
    let again = second.wait_url();
    assert_eq!(status(&lab, &again), "200");
    second.interrupt();
    // The same address, although connections of the one before linger on its port.
    let mut third = Connect::start(&lab, &profile, &[&target]);
    assert_eq!(third.wait_url(), again);
    third.interrupt();
    job.cancel();
}
