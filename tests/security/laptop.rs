//! The laptop's end of a connection, where others can log in as well.

use crate::support::{Job, Place, chmod, root, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::chown;

/// Who else is there.
const MALLORY: u32 = 65533;

#[test]
fn connect_makes_its_profile_and_sockets_only_where_nobody_else_can_replace_them() {
    needed!(root());
    for (owner, mode, told) in [
        (MALLORY, 0o755, "belongs to uid 65533"),
        (0, 0o777, "every user can write in"),
        (0, 0o1777, "others can put their files into"),
    ] {
        let place = Place::empty();
        place.script("ssh", "printf '%s\\n' \"$@\" >>\"$HOME/argv\"; exit 255");
        let (shared, own) = (place.dir().join("shared"), place.dir().join("own"));
        fs::create_dir(&shared).expect("a directory");
        chown(&shared, Some(owner), None).expect("we are root");
        chmod(&shared, mode);
        let connect = |ipython_dir| {
            let mut command = place.ipjob(["connect", "h:1"]);
            command
                .env("IPYTHONDIR", ipython_dir)
                .env("TMPDIR", &shared);
            let output = command.output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), text)
        };
        let (code, text) = connect(&shared);
        assert_eq!(code, Some(4), "{text}");
        assert!(text.contains(told), "{text}");
        assert!(
            !place.dir().join("argv").exists(),
            "ssh was started: {text}"
        );
        let (code, text) = connect(&own);
        assert_eq!(code, Some(6), "{text}");
        let argv = fs::read_to_string(place.dir().join("argv")).expect("ssh ran");
        let sockets = argv.lines().filter(|word| word.contains("ipjob-connect-"));
        for socket in sockets {
            assert_eq!(socket.contains("shared"), mode == 0o1777, "{argv}");
        }
        assert!(argv.contains("ipjob-connect-"), "{argv}");
    }
}

#[test]
fn the_token_goes_into_no_file_that_others_can_read() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "1"]);
    let ready = job.wait_ready();
    let token = ready["token"].as_str().expect("a token");
    for (mode, is_shown) in [(0o644, false), (0o640, false), (0o600, true)] {
        let path = place.dir().join(format!("errors-{mode:o}"));
        let file = File::create(&path).expect("a file");
        chmod(&path, mode);
        let mut command = place.ipjob(["connect", "job_local"]);
        let mut connect = command.stderr(file).spawn().expect("it starts");
        let text = wait_for("the last line of what there is", || {
            let text = fs::read_to_string(&path).expect("readable");
            text.contains("rc = ipp.Client").then_some(text)
        });
        let pid = Pid::from_raw(i32::try_from(connect.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("ours");
        connect.wait().expect("it ends");
        assert_eq!(text.contains(token), is_shown, "{mode:o}: {text}");
        assert!(text.contains("jupyter  http://"), "{text}");
    }
    // Data that was asked for goes where it is to go, with a word.
    let path = place.dir().join("data");
    let (data, errors) = (
        File::create(&path).expect("a file"),
        place.dir().join("words"),
    );
    chmod(&path, 0o644);
    let mut command = place.ipjob(["connect", "--json", "job_local"]);
    command
        .stdout(data)
        .stderr(File::create(&errors).expect("a file"));
    let mut connect = command.spawn().expect("it starts");
    wait_for("the data", || {
        fs::read_to_string(&path)
            .ok()?
            .contains(token)
            .then_some(())
    });
    let pid = Pid::from_raw(i32::try_from(connect.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("ours");
    connect.wait().expect("it ends");
    let words = fs::read_to_string(&errors).expect("readable");
    assert!(
        words.contains("umask 077") && !words.contains(token),
        "{words}"
    );
    job.stop();
}
