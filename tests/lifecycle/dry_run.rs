//! `--dry-run`: the plan, whole, and nothing else.

use super::notebook;
use crate::support::{Place, carriers, command_line};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Everything below a directory, with the time of its last change.
fn everything(directory: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let data = entry.metadata().expect("an entry");
        let name = entry.path().display().to_string();
        found.insert(name, data.modified().expect("a time"));
        if data.is_dir() {
            found.extend(everything(&entry.path()));
        }
    }
    found
}

/// A notebook of two engines that also writes a second record.
const NOTEBOOK: [&str; 6] = ["--mode", "notebook", "-n", "2", "--record", "copy.json"];

fn plan(place: &Place, args: &[&str]) -> String {
    let output = place
        .ipjob(["--dry-run"].iter().chain(args))
        .env("IPP_CLUSTER_ID", "left over")
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn it_touches_nothing() {
    let place = Place::with_fakes();
    let before = everything(place.dir());
    plan(&place, &NOTEBOOK);
    assert_eq!(everything(place.dir()), before);
}

#[test]
fn it_shows_files_environment_and_limits_and_no_secret() {
    let place = Place::with_fakes();
    let text = plan(
        &place,
        &[&NOTEBOOK[..], &["--stop-timeout", "10s"]].concat(),
    );
    let profile = place.profile("job_local");
    let expected = [
        "mode         notebook".to_owned(),
        "launcher     local".to_owned(),
        "start        overlapped".to_owned(),
        "--ports=<three free ports; the others are in the connection files>".to_owned(),
        "engines      2 (at least 2)".to_owned(),
        format!("directory    {}", profile.display()),
        format!("record       {}/ipjob.json", profile.display()),
        format!("record copy  {}/copy.json", place.dir().display()),
        format!(
            "client file  {}/security/ipcontroller-client.json",
            profile.display()
        ),
        format!(
            "key          {}/ipjob-runtime/session.key",
            profile.display()
        ),
        "set   JUPYTER_TOKEN=<secret>".to_owned(),
        "set   IPJOB_CLIENT_PROFILE=job_local".to_owned(),
        format!("set   IPYTHONDIR={}", place.ipython_dir().display()),
        "drop  IPP_CLUSTER_ID".to_owned(),
        "stopped within 4 s".to_owned(),
        "--ServerApp.port=<a free port of 8000-9999>".to_owned(),
    ];
    for part in expected {
        assert!(text.contains(&part), "no {part:?} in {text}");
    }
    let secret = text
        .split(|char: char| !char.is_ascii_hexdigit())
        .find(|word| word.len() >= 32);
    assert_eq!(secret, None);
}

#[test]
fn what_it_shows_is_what_is_started() {
    let place = Place::with_fakes();
    let text = plan(&place, &["--mode", "notebook", "-n", "2"]);
    let mut planned: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("run   "))
        .map(|line| line.trim_start_matches("/usr/bin/python3 "))
        // Quoted for a shell.
        .map(|line| line.replace('\'', ""))
        .map(|line| line.replace("<a free port of 8000-9999>", "PORT"))
        .map(|line| match line.split_once(" --ports=<") {
            Some((line, _)) => format!("{line} --ports=PORTS"),
            None => line,
        })
        .collect();
    planned.sort();
    let mut job = notebook(&place, &[], &[]);
    let record = job.wait_ready();
    let port = format!("port={}", record["port"]);
    let mut started: Vec<String> = carriers(record["incarnation"]["id"].as_str().expect("an id"))
        .into_iter()
        .map(|(pid, _)| command_line(pid))
        // The fakes are scripts: their interpreter comes first.
        .filter_map(|line| {
            let line = line
                .split_once(' ')?
                .1
                .trim_end()
                .replace(&port, "port=PORT");
            Some(match line.split_once(" --ports=") {
                Some((line, _)) => format!("{line} --ports=PORTS"),
                None => line,
            })
        })
        .collect();
    started.sort();
    // The controller's children are forks of it.
    started.dedup();
    assert_eq!(started, planned);
    job.stop();
}

#[test]
fn a_word_that_a_shell_would_split_is_quoted() {
    let place = Place::with_fakes();
    let args = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--",
        "cat",
        "a b",
        "it's",
        "plain",
    ];
    let text = plan(&place, &args);
    assert!(text.contains(r"cat 'a b' 'it'\''s' plain"), "{text}");
}

#[test]
fn it_shows_how_long_the_job_lives() {
    let place = Place::with_fakes();
    let number = std::process::id().to_string();
    let further = [
        "--detach",
        "--follow",
        &number,
        "--idle-timeout",
        "30m",
        "--respawn",
        "engine",
    ];
    let cluster = ["--mode", "cluster-only", "-n", "1"];
    let text = plan(&place, &[&cluster[..], &further].concat());
    for line in [
        "respawn      engine: each that ends is restarted".to_owned(),
        "detach       the job is left running once it is ready".to_owned(),
        format!("follow       the job ends with process {number} ("),
        "idle limit   1800 s without use".to_owned(),
    ] {
        assert!(text.contains(&format!("\n{line}")), "no {line:?} in {text}");
    }
    let text = plan(&place, &cluster);
    for word in ["\ndetach", "\nfollow", "\nidle limit"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn a_type_of_mpi_that_nothing_is_started_with_is_told() {
    let place = Place::with_fakes();
    let args = ["--mode", "cluster-only", "-n", "2", "--mpi", "pmi2"];
    let text = plan(&place, &args);
    let remark = "remark       --mpi pmi2 has no effect with --launcher local, whose engines form no MPI world";
    assert!(text.contains(remark), "{text}");
}

#[test]
fn it_shows_what_forks_the_engines_or_why_none_are_forked() {
    let place = Place::with_fakes();
    let fork = [
        "--mode",
        "cluster-only",
        "-n",
        "2",
        "--engine-start",
        "fork",
    ];
    let text = plan(&place, &fork);
    let line = text.lines().find(|line| line.starts_with("    fork  "));
    let line = line.unwrap_or_else(|| panic!("no fork in\n{text}"));
    let program = place.profile("job_local").join("ipjob-runtime/fork.py");
    let begin = format!("    fork  /usr/bin/python3 {}", program.display());
    assert!(line.starts_with(&begin), "{line}");
    let of_one = |line: &str| line.starts_with("    run ") && line.contains("/ipengine");
    assert!(!text.lines().any(of_one), "they are forks: {text}");

    place.script("mpiexec", "exit 1");
    let mpiexec = [&fork[..], &["--launcher", "mpiexec"]].concat();
    let text = plan(&place, &mpiexec);
    assert!(text.contains("/mpiexec -n 2 "), "{text}");
    assert!(text.contains(" engine --fork=/usr/bin/python3 "), "{text}");
    let text = plan(
        &place,
        &[&mpiexec[..], &["--engine-wrapper", "env"]].concat(),
    );
    let why = "engines are not forked, which only makes their start slower: --engine-wrapper puts a command between each task and its engine";
    assert_eq!(text.matches(why).count(), 1, "{text}");
    assert!(!text.contains("fork="), "{text}");
}
