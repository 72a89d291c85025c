//! What can be worn down by who has no key: memory by frames and bodies, descriptors by connections on which nothing is said.

use super::{Bob, JUPYTERS, Notebook, as_bob, ports::text_of};
use crate::healing::{answer_of, ask};
use crate::real::python;
use crate::support::{Job, Needed, Place, binary, carriers, venv};
use serde_json::Value;
use std::fs;

pub const FLOOD: &str = include_str!("flood.py");

/// MB that each flood sends. Of bodies, which are refused by their length, no process takes a quarter; frames are cut when somebody
/// looks at what a connection has sent, which on a busy machine is late.
const SENT: u64 = 800;

/// The largest that any process of this program has been, in MB.
fn peak(record: &Value, program: &str) -> u64 {
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let of = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let all = carriers(incarnation);
    let peaks = all.iter().filter(|(_, line)| line.contains(program));
    peaks
        .filter_map(|(pid, _)| of(*pid))
        .max()
        .expect("it runs")
        / 1000
}

/// What another user's flood of these ports was taken of, in MB.
fn flood(how: &str, ports: &[String]) -> Needed<Vec<u64>> {
    let mut bob = as_bob(FLOOD)?;
    let told = text_of(bob.arg(how).args(ports).spawn().expect("python"));
    Ok(told
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect())
}

/// Ports of the clients' file.
pub fn ports(job: &Job, names: &[&str]) -> Vec<String> {
    let path = job.profile().join("security/ipcontroller-client.json");
    let file: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    names.iter().map(|name| file[*name].to_string()).collect()
}

#[test]
fn frames_of_strangers_are_cut_before_they_fill_the_memory() {
    // With the ports that ipjob hands over, and with those that the controller binds itself.
    let starts = [
        ("main", "overlapped"),
        ("ipp88", "overlapped"),
        ("main", "sequential"),
    ];
    for (name, start) in starts {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let mut arguments = vec!["--mode", "cluster-only", "-n", "1", "--curve", "on"];
        arguments.extend(["--start", start]);
        let mut job = Job::start(&place, &arguments);
        let record = job.wait_ready();
        let ports = ports(&job, &["registration", "mux", "task", "iopub"]);
        for taken in needed!(flood("frames", &ports)) {
            assert!(taken < SENT, "{taken} MB were taken");
        }
        let peak = peak(&record, "ipcontroller");
        assert!(peak < SENT, "{peak} MB");
        // Friends may send as much as ever.
        let arrays = python::run(&place, &venv, "../security/large.py", &["job_local"]);
        assert_eq!(arrays, "100000000\n");
        assert_eq!(job.record().expect("a record")["restarts"]["controller"], 0);
        job.stop();
    }
}

#[test]
fn bodies_of_strangers_are_refused_before_they_are_read() {
    for (name, frontend) in JUPYTERS {
        let Notebook {
            place,
            venv,
            mut job,
            record,
        } = needed!(Notebook::start(name, &["--frontend", frontend]));
        for taken in needed!(flood("bodies", &[record["port"].to_string()])) {
            assert!(taken < SENT / 4, "{taken} MB were taken");
        }
        let peak = peak(&record, "jupyter.py");
        assert!(peak < SENT / 4, "{peak} MB");
        if name == "main" {
            let path = job.profile().join("ipjob.json");
            let saved = python::run(
                &place,
                &venv,
                "../security/upload.py",
                &[path.to_str().expect("text")],
            );
            assert_eq!(saved, "201\n201\n");
        }
        job.stop();
    }
}

#[test]
fn requests_of_strangers_do_not_fill_the_log() {
    for (name, frontend) in JUPYTERS {
        let arguments = ["--frontend", frontend];
        let Notebook {
            place: _place,
            mut job,
            record,
            ..
        } = needed!(Notebook::start(name, &arguments));
        let answered = needed!(flood("requests", &[record["port"].to_string()]));
        assert_eq!(answered, [80]);
        let log = job.profile().join("log/ipjob-jupyter.log");
        let log = fs::read_to_string(log).expect("a log");
        assert!(log.len() < 30_000, "{} bytes of log", log.len());
        for line in ["Traceback", "Malformed HTTP", "_xsrf"] {
            assert!(!log.contains(line), "{log}");
        }
        job.stop();
    }
}

#[test]
fn idle_connections_of_strangers_leave_descriptors_to_friends() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut command = place.command("sh");
    command
        .args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\""])
        .arg(binary())
        .args(["--mode", "notebook", "-n", "1", "--curve", "on"]);
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    let mut all = ports(&job, &["registration", "mux"]);
    all.push(record["port"].to_string());
    let mut bob = needed!(as_bob(FLOOD));
    let mut bob = Bob::start(bob.arg("idle").args(&all));
    assert_eq!(bob.line(), "3300");
    let answer = answer_of(ask(&record, record["token"].as_str().expect("a token")));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], serde_json::json!([0]));
    let log = fs::metadata(job.profile().join("log/ipjob-jupyter.log")).expect("a log");
    assert!(log.len() < 100_000, "{} bytes of log", log.len());
    bob.end();
    job.stop();
}
