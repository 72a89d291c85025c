//! File systems that take no permissions, and homes that take no files.

use super::Home;
use super::hung::served_by;
use crate::support::{Job, Place, venv};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};

#[test]
fn a_file_system_that_refuses_chmod_is_used_where_it_is_closed_to_others() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let (home, _server) = needed!(served_by(place, &["--chmod-deny"]));
    let chmod = home.does("chmod", &["755", home.text()]);
    assert!(!chmod, "it refuses");
    // IPython's own first start fails there, and leaves this: the next one works.
    let startup = home.path.join(".ipython/profile_default/startup");
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&startup)
        .expect("made");
    fs::write(startup.join("README"), "").expect("written");
    let mut job = home.job(&["--mode", "notebook", "-n", "1"]);
    job.wait_ready();
    let found = fs::metadata(job.profile().join("ipjob.json")).expect("a record");
    assert_eq!(found.mode() & 0o777, 0o600);
    job.stop();
}

#[test]
fn a_file_system_that_shows_all_to_others_is_refused_by_what_it_did_at_chmod() {
    for (policy, told) in [
        (
            "--chmod-deny",
            "its file system refuses chmod: Operation not permitted",
        ),
        ("--chmod-ignore", "chmod changes nothing on its file system"),
    ] {
        let options = [policy, "--perms=a+rX"];
        let (home, _server) = needed!(served_by(Place::with_fakes(), &options));
        let mut job = home.job(&["--mode", "cluster-only", "-n", "1"]);
        let lines = job.fails(
            4,
            &[
                "the profile directory cannot be used",
                "others can read it (mode 0644)",
                told,
                "hint: have it mounted with permissions that keep others out",
            ],
        );
        assert!(
            !lines.contains("check that its directory exists"),
            "{lines}"
        );
    }
}

#[test]
fn a_home_that_cannot_be_written_is_told_with_the_variable_that_moves_what_is_kept_there() {
    let venv = needed!(venv("main"));
    let home = needed!(Home::in_place(Place::with_venv(&venv)));
    let only_read = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    let text = Some(home.text());
    mount::<str, _, str, str>(text, home.text(), None, MsFlags::MS_BIND, None).expect("mounted");
    mount::<str, _, str, str>(text, home.text(), None, only_read, None).expect("mounted");
    let dir = |name: &str| home.place.dir().join(name);
    // What was told last is set next.
    for (set, failed, variable) in [
        (vec![], ".ipython", "IPYTHONDIR"),
        (vec!["IPYTHONDIR"], ".jupyter", "JUPYTER_CONFIG_DIR"),
    ] {
        let mut command = home.place.ipjob(["--mode", "notebook", "-n", "1"]);
        command.env("HOME", &home.path);
        command.envs(set.iter().map(|name| (*name, dir(name))));
        let mut job = Job::spawn_in(&dir("IPYTHONDIR"), "job_local", command);
        let (_, lines) = job.finish();
        let failed = home.path.join(failed).display().to_string();
        let (_, error) = lines.split_once("error: ").expect("an error");
        assert!(error.contains(&failed), "{lines}");
        assert!(error.contains("Read-only file system"), "{lines}");
        assert!(error.contains(variable), "{lines}");
    }
    let mut command = home.place.ipjob(["--mode", "notebook", "-n", "1"]);
    let all = ["IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"];
    command.envs(all.iter().map(|name| (*name, dir(name))));
    command.env("HOME", &home.path);
    let mut job = Job::spawn_in(&dir("IPYTHONDIR"), "job_local", command);
    job.wait_ready();
    job.stop();
}
