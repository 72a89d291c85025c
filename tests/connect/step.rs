use super::{Connect, configure_sshd, cut, refused, status, views};
use crate::support::{Lab, lab::ALICE, wait_for};

#[test]
fn where_neither_forwards_nor_nodes_are_allowed_the_bytes_go_through_a_step_of_the_job() {
    let lab = needed!(Lab::up(&[]));
    configure_sshd(&lab, "login", "AllowTcpForwarding no\nMaxSessions 1");
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode notebook --mpi none",
    );
    job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let target = format!("login:{}", job.id);
    let ipjob = lab.ipjob().display().to_string();
    let args = ["--via", "srun", "--remote-ipjob", &ipjob, &target];
    let mut connect = Connect::start(&lab, &profile, &args);
    let url = connect.wait_url();
    assert_eq!(status(&lab, &url), "200");
    assert_eq!(views(&lab, &profile), "[0, 1]");
    let logins = lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins, 1, "{}", lab.sshd_log("login"));

    // Another user of the laptop takes all descriptors that it may have, for a while.
    let (pid, port) = (
        connect.marker()["pid"].clone(),
        url.split([':', '/']).nth(4),
    );
    let port = port.expect("a port");
    let limited = format!("prlimit --nofile=60:1000 --pid {pid}");
    let held = format!(
        "for i in $(seq 100); do exec {{fd}}<>/dev/tcp/127.0.0.1/{port}; done; read -rt 1 -u $fd"
    );
    for (user, line) in [(ALICE, limited), ("bob", held)] {
        let done = lab.shell(user, "laptop", &line);
        assert!(
            !done.text.contains("refused") && !done.text.contains("prlimit"),
            "{}",
            done.text
        );
    }
    assert_eq!(status(&lab, &url), "200");

    cut(&lab);
    connect.wait_line("the connection to login was lost");
    connect.wait_line("connected again");
    assert_eq!(status(&lab, &url), "200");
    assert_eq!(views(&lab, &profile), "[0, 1]");
    connect.interrupt();
    wait_for("the end of the step", || {
        let left = lab.shell(
            ALICE,
            "node1",
            "ps -o args= -u alice | grep -c '[i]pjob relay'",
        );
        (left.text.trim() == "0").then_some(())
    });

    let (code, output) = refused(
        &lab,
        &["--via", "srun", "--remote-ipjob", "/nowhere/ipjob", &target],
    );
    assert_eq!(code, 6, "{output}");
    assert!(
        output.contains("/nowhere/ipjob") && output.contains("--remote-ipjob PATH"),
        "{output}"
    );

    // The end of the job is the end here as well.
    let mut connect = Connect::start(&lab, &profile, &args);
    connect.wait_url();
    job.cancel();
    let (code, output) = connect.finish();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("has ended: SIGTERM"), "{output}");
}
