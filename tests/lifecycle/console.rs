//! What people see: in a log, at a terminal, with more and with less.

use super::{behind_shell, notebook};
use crate::support::{Job, Place, wait_for};
use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Copies what it is told, leaves a process behind, and fails.
const ON_READY: &str = r#"
cp "$IPJOB_READY_RECORD" told.json
printf %s "$IPJOB_READY_URL $IPJOB_CLIENT_PROFILE" >told.txt
tail -f /dev/null &
echo "to the log: $IPJOB_READY_URL"
exit 3"#;

#[test]
fn the_command_of_on_ready_finds_the_record_and_ends_with_the_job() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &["--mode=notebook", "-n2", "--on-ready", ON_READY]);
    let record = job.wait_ready();
    let line = job.wait_line("the command of --on-ready ended with exit code 3");
    assert!(line.contains("warning"), "{line}");
    let read = |name: &str| fs::read_to_string(place.dir().join(name)).expect("told");
    let told: serde_json::Value = serde_json::from_str(&read("told.json")).expect("a record");
    assert_eq!(told["state"], "ready");
    let url = record["url"].as_str().expect("a url");
    assert_eq!(read("told.txt"), format!("{url} job_local"));
    // The lines of its log are shown, as those of a service are: without secrets.
    job.wait_line("| to the log: http://");
    let transcript = job.stop();
    let token = record["token"].as_str().expect("a token");
    assert!(!transcript.contains(token), "{transcript}");
}

#[test]
fn a_command_of_on_ready_finds_no_address_of_another_job_and_none_is_run_where_it_is_empty() {
    let place = Place::with_fakes();
    let cluster = ["--mode=cluster-only", "-n1"];
    let mut command = place.ipjob(cluster);
    let told = "printf %s \"<$IPJOB_READY_URL>\" >address.new; mv address.new address";
    command
        .args(["--on-ready", told])
        .env("IPJOB_READY_URL", "http://another");
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    let told = wait_for("the address", || {
        fs::read_to_string(place.dir().join("address")).ok()
    });
    assert_eq!(told, "<>");
    job.stop();
    let mut command = place.ipjob(cluster);
    command.args(["--dry-run", "--on-ready", ""]);
    let plan = command.output().expect("it runs").stdout;
    let plan = String::from_utf8(plan).expect("text");
    assert!(!plan.contains("on ready"), "{plan}");
}

/// A job whose stderr is a terminal.
struct AtTerminal {
    job: Job,
    screen: mpsc::Receiver<Vec<u8>>,
    /// Kept until the job has it open, because a terminal that nobody has open reads as ended.
    slave: OwnedFd,
}

impl AtTerminal {
    fn start(place: &Place, environment: &[(&str, &str)]) -> Self {
        let size = Winsize {
            ws_row: 40,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = openpty(&size, None).expect("a terminal");
        let name = ttyname(&terminal.slave).expect("its name");
        let script = format!("exec \"$0\" \"$@\" 2>{}", name.display());
        let mut command = behind_shell(place, &script, &["--mode", "notebook", "-n", "2"]);
        command
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied());
        let job = Job::spawn(place, "job_local", command);
        let (sender, screen) = mpsc::channel();
        let mut master = File::from(terminal.master);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // The last one at the terminal gone is an error (EIO) here.
            while let Ok(length @ 1..) = master.read(&mut piece) {
                let _ = sender.send(piece[..length].to_vec());
            }
        });
        Self {
            job,
            screen,
            slave: terminal.slave,
        }
    }

    /// Waits until this is written to the screen.
    fn wait_for(&self, what: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(what) {
            let piece = self.screen.recv_timeout(Duration::from_secs(60));
            let Ok(piece) = piece else {
                panic!("no {what:?} in {:?}", String::from_utf8_lossy(&seen));
            };
            seen.extend(piece);
        }
    }

    /// Everything that was written to the screen, once the job has ended.
    fn screen(self) -> String {
        drop(self.slave);
        let all: Vec<u8> = self.screen.iter().flatten().collect();
        String::from_utf8_lossy(&all).into_owned()
    }
}

#[test]
fn a_terminal_shows_the_token() {
    let place = Place::with_fakes();
    let mut terminal = AtTerminal::start(&place, &[]);
    let record = terminal.job.wait_ready();
    let url = record["url"].as_str().expect("a url");
    terminal.job.stop();
    let screen = terminal.screen();
    assert!(screen.contains(url), "no {url} in {screen}");
    assert!(
        screen.contains("ended; nothing is left running"),
        "{screen}"
    );
}

#[test]
fn a_live_line_at_a_terminal_names_what_is_waited_for() {
    let place = Place::with_fakes();
    let mut terminal = AtTerminal::start(&place, &[("FAKE_JUPYTER", "silent")]);
    // It is drawn over and over in one place.
    terminal.wait_for("s jupyter\u{1b}[?7h\r\u{1b}[2K");
    terminal.job.stop();
}

#[test]
fn colours_are_for_terminals_where_nobody_says_no() {
    for (environment, coloured) in [
        (vec![("FAKE_JUPYTER", "exit")], true),
        (vec![("FAKE_JUPYTER", "exit"), ("NO_COLOR", "1")], false),
    ] {
        let place = Place::with_fakes();
        let mut terminal = AtTerminal::start(&place, &environment);
        let (code, _) = terminal.job.finish();
        let screen = terminal.screen();
        assert_eq!(code, 3, "{screen}");
        assert!(screen.contains("jupyter (pid "), "{screen}");
        assert_eq!(screen.contains("\u{1b}[31m"), coloured, "{screen:?}");
        assert_eq!(screen.contains("\u{1b}[1m"), coloured, "{screen:?}");
    }
}

#[test]
fn a_log_has_timed_lines_and_no_token() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &[]);
    let record = job.wait_ready();
    let transcript = job.stop();
    let token = record["token"].as_str().expect("a token");
    assert!(!transcript.contains(token));
    assert!(
        !transcript.contains('\u{1b}') && !transcript.contains('\r'),
        "{transcript:?}"
    );
    let timed = |text: &str| {
        let line = transcript.lines().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no {text:?} in {transcript}"));
        let time = line
            .split_once("s  ")
            .map(|(time, _)| time.trim().parse::<f64>());
        assert!(matches!(time, Some(Ok(0.0..120.0))), "{line}");
    };
    timed("controller ready on 127.0.0.1 (");
    timed("engines ready (2/2)");
    timed("jupyter ready at http://127.0.0.1:");
    timed("ready: 2 engines, profile job_local");
    timed("stopping: SIGTERM");
    timed("ended; nothing is left running");
    let record_path = job.profile().join("ipjob.json");
    for next in [
        format!("jupyter  http://127.0.0.1:{}/lab", record["port"]),
        format!("the token is in {}", record_path.display()),
        "python   import ipyparallel as ipp".to_owned(),
        "rc = ipp.Client(profile=\"job_local\")".to_owned(),
        format!("record   {}", record_path.display()),
        format!("logs     {}", job.profile().join("log").display()),
    ] {
        assert!(transcript.contains(&next), "no {next:?} in {transcript}");
    }
}

#[test]
fn quiet_shows_warnings_and_errors_only() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &["-q"]);
    job.wait_ready();
    assert_eq!(job.stop(), "");

    let place = Place::with_fakes();
    let mut job = notebook(
        &place,
        &[("FAKE_ENGINE", "deaf")],
        &["-q", "--stop-timeout", "1s"],
    );
    job.wait_ready();
    let transcript = job.stop();
    assert!(
        transcript.contains("warning: engines did not end when asked"),
        "{transcript}"
    );
    assert_eq!(transcript.lines().count(), 1, "{transcript}");
}

#[test]
fn verbose_shows_every_process_as_well() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &["-v"]);
    let record = job.wait_ready();
    let transcript = job.stop();
    for (name, pid) in [
        ("controller", &record["controller"]["pid"]),
        ("engine 0", &record["engines"]["list"][0]["pid"]),
        ("engine 1", &record["engines"]["list"][1]["pid"]),
    ] {
        let line = format!("{name} started (pid {pid})");
        assert!(transcript.contains(&line), "no {line:?} in {transcript}");
    }
    assert!(transcript.contains("jupyter started (pid "), "{transcript}");

    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &[]);
    job.wait_ready();
    assert!(!job.stop().contains("started (pid"));
}
