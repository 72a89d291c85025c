//! ipjob as the ranks of an mpiexec, without any Slurm.

use super::start::{self, Start, kill_carriers, meetings, python, send};
use super::{IDS, WORLD, one_world};
use crate::support::{Place, binary, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// `mpiexec -n 3 ipjob --mode cluster-only` with further arguments.
fn mpiexec(place: &Place, venv: &Path, args: &[&str]) -> Command {
    let mut command = place.command(venv.join("bin/mpiexec"));
    command
        .args(["-n", "3"])
        .arg(binary())
        .args(["--mode", "cluster-only"])
        .args(args);
    command
}

/// Whether a process was started with variables of the MPI launcher.
fn offered_mpi(pid: &Value) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    environment
        .split(|byte| *byte == 0)
        .any(|entry| entry.starts_with(b"PMI_"))
}

#[test]
fn are_one_cluster_and_one_world() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Start::of(&place, "job_local", mpiexec(&place, &venv, &[]));
    let record = job.wait_state("ready");
    assert_eq!(record["launcher"], "ranks");
    assert_eq!(record["engines"]["expected"], 3);
    let list = record["engines"]["list"].as_array().expect("a list");
    assert_eq!(list.len(), 3, "{list:?}");
    for engine in list {
        assert!(offered_mpi(&engine["pid"]), "{engine}");
    }
    assert!(!offered_mpi(&record["controller"]["pid"]));
    assert_eq!(python(&place, WORLD, "job_local"), one_world(3));
    job.signal(Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    let record = job.assert_nothing_left();
    assert_eq!(record["reason"], "SIGTERM");
    assert_eq!(record["warnings"], Value::Array(Vec::new()), "{output}");
}

#[test]
fn end_when_the_first_is_asked() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Start::of(&place, "job_local", mpiexec(&place, &venv, &[]));
    let record = job.wait_state("ready");
    let leader = record["incarnation"]["pid"].as_u64().expect("a pid");
    send(leader, Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    let record = job.assert_nothing_left();
    assert_eq!(record["warnings"], Value::Array(Vec::new()), "{output}");
}

#[test]
fn end_with_the_cause_when_their_world_loses_one() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Start::of(&place, "job_local", mpiexec(&place, &venv, &[]));
    let record = job.wait_state("ready");
    let engine = &record["engines"]["list"][2];
    send(engine["pid"].as_u64().expect("a pid"), Signal::SIGKILL);
    // The code is mpiexec's own: 0 now and then, where the leader's end is seen before MPI's farewell of the killed engine is missed.
    let (_, output) = job.finish();
    let named = format!(
        "engine 2 (pid {}) ended with signal 9 (SIGKILL)",
        engine["pid"]
    );
    assert!(output.contains(&named), "{output}");
    let record = job.assert_nothing_left();
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("engine 2 is lost"), "{reason}");
    assert_eq!(record["exit"], 1);
    assert!(!output.contains("does not end"), "{output}");
}

#[test]
fn end_in_order_when_one_aborts() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Start::of(&place, "job_local", mpiexec(&place, &venv, &[]));
    job.wait_state("ready");
    let abort = "
import ipyparallel as ipp, sys
def abort():
    from mpi4py import MPI
    MPI.COMM_WORLD.Abort(5)
result = ipp.Client(profile=sys.argv[1], timeout=60)[1].apply_async(abort)
print(str(result.wait(5)).lower())
";
    python(&place, abort, "job_local");
    let (code, output) = job.finish();
    assert_ne!(code, 0, "{output}");
    // mpiexec does not wait for the leader, which is no longer its own.
    wait_for("the record's end", || {
        job.record().filter(|record| record["state"] == "ended")
    });
    let record = wait_for("the leader's end", || {
        meetings(&place).is_empty().then(|| job.record())
    });
    assert_eq!(
        record.expect("a record")["reason"],
        "the end of its mpiexec"
    );
    job.assert_nothing_left();
}

#[test]
fn live_on_without_mpi_when_one_is_lost() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let command = mpiexec(&place, &venv, &["--mpi", "none"]);
    let mut job = Start::of(&place, "job_local", command);
    let record = job.wait_state("ready");
    for engine in record["engines"]["list"].as_array().expect("a list") {
        assert!(!offered_mpi(&engine["pid"]), "{engine}");
    }
    let engine = &record["engines"]["list"][1];
    send(engine["pid"].as_u64().expect("a pid"), Signal::SIGKILL);
    let record = job.wait_state("degraded");
    assert_eq!(record["engines"]["missing"], serde_json::json!([1]));
    // The hub has it from ipjob or the nanny, and writes it a moment later.
    let list = place.profile("job_local").join("log/enginesipjob0.json");
    wait_for("the hub's word", || {
        let list: Value = serde_json::from_str(&fs::read_to_string(&list).ok()?).ok()?;
        list["engines"]["1"].is_null().then_some(())
    });
    assert_eq!(python(&place, IDS, "job_local"), serde_json::json!([0, 2]));
    job.signal(Signal::SIGTERM);
    assert_eq!(job.finish().0, 0, "{}", job.output());
    job.assert_nothing_left();
}

#[test]
fn are_not_misled_by_what_a_killed_life_left() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let start = || {
        let mut command = mpiexec(&place, &venv, &["--mpi", "none"]);
        // The same word twice is the worst case: no step and no process tells the two starts apart.
        command.env("IPJOB_MEETING", "twice");
        Start::of(&place, "job_local", command)
    };
    let mut killed = start();
    let record = killed.wait_state("ready");
    let id = record["incarnation"]["id"].as_str().expect("an id");
    let meeting = place.ipython_dir().join(&meetings(&place)[0]);
    let word = fs::read(meeting.join("leader.json")).expect("the leader's word");
    send(
        record["incarnation"]["pid"].as_u64().expect("a pid"),
        Signal::SIGKILL,
    );
    // The others notice and end the meeting; mpiexec has to wait for what the killed leader had started.
    wait_for("the meeting's end", || {
        meetings(&place).is_empty().then_some(())
    });
    kill_carriers(id);
    assert_ne!(killed.finish().0, 0);
    // As if they had been killed as well.
    fs::create_dir(&meeting).expect("a directory");
    fs::write(meeting.join("leader.json"), word).expect("written");
    let mut job = start();
    wait_for("a new life", || {
        job.record()
            .filter(|record| record["incarnation"]["id"] != id && record["state"] == "ready")
    });
    job.signal(Signal::SIGTERM);
    assert_eq!(job.finish().0, 0, "{}", job.output());
    job.assert_nothing_left();
}

#[test]
fn are_refused_as_one() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut first = Start::of(
        &place,
        "job_local",
        place.ipjob(["--mode", "cluster-only", "-n1"]),
    );
    first.wait_state("ready");
    let named = ["--profile", "job_local"];
    let output = mpiexec(&place, &venv, &named).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert_eq!(text.matches("error:").count(), 1, "{text}");
    assert!(text.contains("another ipjob runs"), "{text}");
    assert_eq!(start::meetings(&place), Vec::<String>::new());
    first.signal(Signal::SIGTERM);
    assert_eq!(first.finish().0, 0);
    first.assert_nothing_left();
}

#[test]
fn are_refused_with_a_limit_of_idleness_that_none_would_tell() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let output = mpiexec(&place, &venv, &["--idle-timeout", "30s"]).output();
    let output = output.expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let refused = "--idle-timeout does not work with --launcher ranks";
    assert!(text.contains(refused), "{text}");
    assert_eq!(start::meetings(&place), Vec::<String>::new());
}

#[test]
fn say_where_they_looked_for_the_first() {
    let place = Place::empty();
    let output = place
        .ipjob(["--mode", "cluster-only", "--start-timeout", "1s"])
        .envs([
            ("PMI_RANK", "2"),
            ("PMI_SIZE", "3"),
            ("IPJOB_MEETING", "alone"),
        ])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("rank 2 of 3 on "), "{text}");
    assert!(text.contains("found no rank 0 within 1 s"), "{text}");
    assert!(text.contains(".ipjob-meeting-word_alone-"), "{text}");
}

#[test]
fn are_not_made_of_what_an_earlier_start_left_in_a_shell() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // A port on which nobody listens: it was given back.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let uri = format!("12.0;tcp4://{}", gone.local_addr().expect("bound"));
    drop(gone);
    let mut command = place.ipjob(["--mode", "cluster-only", "-n1"]);
    // As `mpirun -n 3 bash` of Open MPI 4 leaves them.
    command.envs([
        ("PMIX_SERVER_URI2", uri.as_str()),
        ("PMIX_NAMESPACE", "12"),
        ("PMIX_RANK", "2"),
        ("OMPI_COMM_WORLD_RANK", "2"),
        ("OMPI_COMM_WORLD_SIZE", "3"),
        ("OMPI_MCA_ess", "^singleton"),
    ]);
    let mut job = Start::of(&place, "job_local", command);
    let record = job.wait_state("ready");
    assert_eq!(record["launcher"], "local");
    let pid = &record["engines"]["list"][0]["pid"];
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    let environment = String::from_utf8_lossy(&environment);
    for left in ["PMIX_", "OMPI_"] {
        assert!(!environment.contains(left), "{environment}");
    }
    job.signal(Signal::SIGTERM);
    assert_eq!(job.finish().0, 0, "{}", job.output());
    job.assert_nothing_left();
}

#[test]
fn without_a_common_world_are_not_ready_where_one_was_asked_for() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // A starter that the engines' MPI library does not know.
    let mut command = place.command("sh");
    command
        .args(["-c", "for rank in 0 1; do MPI_LOCALNRANKS=2 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=$rank \"$0\" --mode cluster-only --mpi pmi2 & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || code=$?; done; exit $code"])
        .arg(binary());
    command.env("IPJOB_MEETING", "alone");
    let mut job = Start::of(&place, "job_local", command);
    let (code, output) = job.finish();
    assert_eq!(code, 3, "{output}");
    let text = "error: what started the ranks made no common MPI world: that of engine 0 has a size of 1, not 2";
    assert!(output.contains(text), "{output}");
    job.assert_nothing_left();
}
