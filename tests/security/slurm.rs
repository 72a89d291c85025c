//! What Slurm and the nodes of a job offer to another user: bob, in the lab.

use crate::support::{Lab, lab::ALICE};
use serde_json::Value;

/// A profile that bob makes on the second node, where that of the job will be looked for: whoever believes it does what his controller
/// says.
const TRAP: &str = "
umask 022
mkdir -p /tmp/unshared/profile_job_1/{security,log,pid,startup,static}
echo 'open(\"/tmp/obeyed\", \"w\")' >/tmp/unshared/profile_job_1/ipengine_config.py
echo '{\"key\": \"his\", \"interface\": \"tcp://127.0.0.1\"}' >/tmp/unshared/profile_job_1/security/ipcontroller-engine.json
cp /tmp/unshared/profile_job_1/security/ipcontroller-engine.json /tmp/unshared/profile_job_1/security/ipcontroller-ipjob0-engine.json
chmod -R 777 /tmp/unshared/profile_job_1";

#[test]
fn a_profile_that_another_user_made_on_a_node_is_not_the_jobs() {
    let lab = needed!(Lab::up(&[]));
    let trap = lab.shell("bob", "node2", TRAP);
    assert_eq!(trap.code, 0, "{}", trap.text);
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi none --ipython-dir /tmp/unshared -- true",
    );
    assert_eq!(job.id, "1", "the trap is for this one");
    let ended = job.finish();
    let obeyed = lab.shell("root", "node2", "ls -l /tmp/obeyed");
    assert_ne!(obeyed.code, 0, "his code was run: {}", obeyed.text);
    assert_eq!(ended.code, 0, "{}", ended.output);
}

#[test]
fn slurm_lets_another_user_neither_end_the_job_nor_into_it() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let record = job.wait_state("ready");
    let step = record["step"].as_str().expect("a step");
    for line in [
        format!("scancel {}", job.id),
        format!("scancel --signal=TERM {step}"),
        format!("srun --jobid={} --overlap -N1 -n1 id", job.id),
        format!("scontrol update jobid={} timelimit=1", job.id),
        format!("scontrol requeue {}", job.id),
        format!("scontrol write batch_script {} -", job.id),
    ] {
        let tried = lab.shell("bob", "login", &line);
        // Some of these programs end with 0 all the same.
        let refused = tried.code != 0 || tried.text.contains("Invalid user id");
        assert!(refused, "{line}: {}", tried.text);
    }
    let attached = lab.shell("bob", "login", &format!("sattach {step}"));
    assert!(!attached.text.contains("ipjob"), "{}", attached.text);
    // What all may see of it has no secret.
    let key = std::fs::read(job.profile("security/ipcontroller-client.json")).expect("a file");
    let key: Value = serde_json::from_slice(&key).expect("JSON");
    let key = key["key"].as_str().expect("a key");
    let shown = lab.shell(
        "bob",
        "login",
        &format!(
            "scontrol show job {0}; squeue -s; squeue -j {0} -O All",
            job.id
        ),
    );
    assert!(
        shown.text.contains(&job.id) && !shown.text.contains(key),
        "{}",
        shown.text
    );
    let pids: Vec<String> = record["engines"]["list"]
        .as_array()
        .expect("engines")
        .iter()
        .filter(|engine| engine["node"] == "node2")
        .map(|engine| engine["pid"].to_string())
        .collect();
    let kill = format!(
        "kill -TERM {0}; kill -9 -{0}; cat /proc/{0}/environ",
        pids.join(" ")
    );
    let tried = lab.shell("bob", "node2", &kill);
    assert_ne!(tried.code, 0, "{}", tried.text);
    assert_eq!(job.record().expect("a record")["state"], "ready");
    let alive = lab.shell(ALICE, "node2", &format!("kill -0 {}", pids.join(" ")));
    assert_eq!(alive.code, 0, "{}", alive.text);
    job.cancel();
}

/// Prints the status of GET /api/status below the URL that it is given, by each Host.
const BY_HOST: &str = "
import sys, urllib.request, urllib.error
page, _, token = sys.argv[1].partition('lab?token=')
for host in sys.argv[2:]:
    request = urllib.request.Request(page + 'api/status?token=' + token, headers={'Host': host})
    try:
        print(host, urllib.request.urlopen(request, timeout=30).status)
    except urllib.error.HTTPError as error:
        print(host, error.code)
";

#[test]
fn jupyter_answers_by_the_names_of_its_node_and_no_others() {
    let lab = needed!(Lab::up(&[]));
    let answers = |arguments: &str, hosts: &[&str]| {
        let script = format!("exec ipjob --mode notebook -n 1 --mpi none -- {arguments}");
        let job = lab.submit(&["-N1", "-n1"], &script);
        let record = job.wait_state("ready");
        let url = record["url"].as_str().expect("a url");
        let output = lab
            .on(ALICE, "login")
            .args(["python3", "-c", BY_HOST, url])
            .args(hosts)
            .output()
            .expect("lab runs");
        job.cancel();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let hosts = [
        "node1",
        "NODE1:80",
        "localhost:8731",
        "10.0.0.1",
        "evil.example",
        "node1.evil.example:8731",
    ];
    assert_eq!(
        answers("", &hosts),
        "node1 200\nNODE1:80 200\nlocalhost:8731 200\n10.0.0.1 200\nevil.example 403\nnode1.evil.example:8731 403\n"
    );
    // A site's proxy has a name of its own.
    let proxy = "--ServerApp.local_hostnames=proxy.example";
    assert_eq!(
        answers(proxy, &["proxy.example", "node1", "evil.example"]),
        "proxy.example 200\nnode1 200\nevil.example 403\n"
    );
}
