use crate::support::{Lab, lab::ALICE};

/// Prints the status of GET /api/status for the URL that it is given, or what went wrong.
const STATUS: &str = "
import sys, urllib.request, urllib.error
page, token = sys.argv[1].split('lab?token=')
try:
    print(urllib.request.urlopen(page + 'api/status?token=' + token, timeout=10).status)
except urllib.error.URLError as error:
    print(error.reason)
";

fn status(lab: &Lab, machine: &str, url: &str) -> String {
    let output = lab
        .on(ALICE, machine)
        .args(["python3", "-c", STATUS, url])
        .output();
    String::from_utf8_lossy(&output.expect("lab runs").stdout)
        .trim()
        .to_owned()
}

#[test]
fn the_login_node_reaches_a_job_of_one_node() {
    let lab = needed!(Lab::up(&[]));
    let body = "exec ipjob --mode notebook --mpi none";
    let plain = lab.submit(&["-N1", "-n1", "-wnode2"], body);
    let hidden = lab.submit(
        &["-N1", "-n1", "-wnode1"],
        &format!("{body} --address eth0 --jupyter-address 127.0.0.1"),
    );
    let record = plain.wait_state("ready");
    let url = record["url"].as_str().expect("a URL");
    assert!(url.starts_with("http://10.77.0.12:"), "{url}");
    assert_eq!(status(&lab, "login", url), "200");
    let code = format!(
        "import ipyparallel as ipp\nprint(ipp.Client(profile='job_{}', timeout=30).ids)",
        plain.id
    );
    assert_eq!(lab.python("login", &code), "[0]");

    let record = hidden.wait_state("ready");
    let url = record["url"].as_str().expect("a URL");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(status(&lab, "node1", url), "200");
    let outside = url.replace("127.0.0.1", "10.77.0.11");
    assert_ne!(status(&lab, "login", &outside), "200");
    hidden.wait_line("controller ready on 10.77.0.11 (18 ports)");

    let unknown = lab.submit(&["-n1"], &format!("{body} --address ib7"));
    let ended = unknown.finish();
    assert_eq!(ended.code, 2, "{}", ended.output);
    assert!(ended.output.contains("eth0 (10.77.0.1"), "{}", ended.output);
    plain.cancel();
    hidden.cancel();
}
