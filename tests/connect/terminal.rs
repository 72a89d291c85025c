//! What a person sees at a terminal, where ssh asks and a live line turns.

use super::{assert_nothing_left, cut, status};
use crate::support::{Lab, lab::ALICE, wait_for};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// The live line begins with one of these.
const TURNS: [char; 8] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈'];

/// A program at a terminal of the laptop's.
pub(super) struct AtTerminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl AtTerminal {
    pub(super) fn start(lab: &Lab, args: &[&str]) -> Self {
        let mut child = lab
            .on(ALICE, "laptop")
            .args(["python3", "-c", include_str!("at_terminal.py"), "ipjob"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("lab runs");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut output, shown) = (child.stdout.take().expect("piped"), Arc::clone(&screen));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                shown
                    .lock()
                    .expect("no panic")
                    .extend_from_slice(&piece[..length]);
            }
        });
        Self {
            keys: child.stdin.take().expect("piped"),
            child,
            screen,
        }
    }

    /// All that was shown.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("no panic")).into_owned()
    }

    /// Waits until this was shown so often, and returns all.
    pub(super) fn wait(&mut self, text: &str, times: usize) -> String {
        wait_for(&format!("{text:?} at the terminal"), || {
            let shown = self.shown();
            if shown.matches(text).count() >= times {
                return Some(shown);
            }
            let ended = self.child.try_wait().expect("a child").is_some();
            assert!(!ended, "it ended before {text:?}: {shown}");
            None
        })
    }

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Waits for its end: the exit code, and all that was shown.
    pub(super) fn finish(mut self) -> (i32, String) {
        let code = wait_for("the end", || {
            let status = self.child.try_wait().expect("a child");
            status.map(|status| status.code())
        });
        let shown = wait_for("the last words", || {
            (Arc::strong_count(&self.screen) == 1).then(|| self.shown())
        });
        (code.unwrap_or(-1), shown)
    }
}

/// Ends the sshd of the login node that listens, and takes its port until so many have come there.
fn away(lab: &Lab, visitors: usize) -> Child {
    let visit = format!(
        "import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', 22))
s.listen()
for _ in range({visitors}): s.accept()[0].close()"
    );
    let line = format!(
        "kill $(cat /run/sshd.pid); while [ -e /run/sshd.pid ]; do :; done; exec python3 -c \"{visit}\""
    );
    lab.on("root", "login")
        .args(["sh", "-c", &line])
        .spawn()
        .expect("lab runs")
}

fn sshd_again(lab: &Lab) {
    let start = "/usr/sbin/sshd -f /run/ssh/sshd_config -E /run/lab/log/sshd-login.log";
    let done = lab.shell("root", "login", start);
    assert_eq!(done.code, 0, "{}", done.text);
}

#[test]
fn a_lost_connection_is_told_once_and_nothing_turns_once_it_is_back() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode notebook --mpi none");
    job.wait_state("ready");
    let target = format!("login:{}", job.id);
    let mut connect = AtTerminal::start(&lab, &["connect", &target]);
    let shown = connect.wait("Ctrl-C ends the tunnel", 1);
    let url = shown.split("jupyter  ").nth(1).expect("an address");
    let url = url
        .split_whitespace()
        .next()
        .expect("an address")
        .to_owned();

    // A restart of sshd that takes a while ends no session; then the connection goes as well.
    let listening = lab.sshd_log("login").matches("Server listening").count();
    let mut away = away(&lab, 3);
    wait_for("the end of sshd", || {
        (!lab.run_of("login", "sshd.pid").exists()).then_some(())
    });
    assert_eq!(status(&lab, &url), "200");
    cut(&lab);
    connect.wait("the connection to login was lost", 1);
    assert!(away.wait().is_ok_and(|status| status.success()));
    sshd_again(&lab);
    wait_for("sshd to listen again", || {
        (lab.sshd_log("login").matches("Server listening").count() > listening).then_some(())
    });
    connect.wait("connected again", 1);
    assert_eq!(status(&lab, &url), "200");
    connect.press("\u{3}");
    let (code, shown) = connect.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("disconnected; the job keeps running"),
        "{shown}"
    );
    let (_, after) = shown.split_once("was lost").expect("it was told");
    let (tries, after) = after.split_once("connected again").expect("it came back");
    assert!(
        !tries.contains("was lost") && !tries.contains("ssh: "),
        "{tries}"
    );
    assert!(!after.contains(TURNS), "{after}");
    assert_nothing_left(&lab, &format!("job_{}", job.id));

    // What prints a table has no live line at all, and a look that is repeated tells when it was made.
    let (code, shown) = AtTerminal::start(&lab, &["status", "login:"]).finish();
    assert_eq!(code, 0, "{shown}");
    assert!(
        !shown.contains(TURNS) && !shown.contains("\u{1b}[2K"),
        "{shown}"
    );
    let mut watch = AtTerminal::start(&lab, &["status", &target, "--watch=1s"]);
    watch.wait(", updated every 1 s", 2);
    let cable = |what: &str| {
        let done = lab.command("cable").args(["laptop", what]).output();
        assert!(done.is_ok_and(|output| output.status.success()));
    };
    cable("pull");
    let (code, shown) = watch.finish();
    cable("plug");
    assert_eq!(code, 6, "{shown}");
    assert!(shown.contains("ssh to login failed"), "{shown}");
    job.cancel();
}

/// In the place of the machine's own: a text, and a code that a program checks.
const PAM: &str = "auth optional pam_exec.so quiet stdout /bin/echo A code was sent to your phone.
auth required pam_exec.so quiet expose_authtok /run/second-factor
auth required pam_permit.so
account required pam_permit.so
session required pam_permit.so
";

#[test]
fn a_second_factor_is_asked_for_once_by_the_prompt_of_pam() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode notebook --mpi none");
    job.wait_state("ready");
    let prepared = format!(
        "cat >/run/pam-of-sshd <<'X'\n{PAM}X\nmount --bind /run/pam-of-sshd /etc/pam.d/sshd
printf '#!/bin/sh\\ntr -d \"\\\\000\" | grep -qx 314159\\n' >/run/second-factor; chmod 755 /run/second-factor
echo 'Welcome to the login node of the lab' >/run/banner"
    );
    let done = lab.shell("root", "login", &prepared);
    assert_eq!(done.code, 0, "{}", done.text);
    super::configure_sshd(
        &lab,
        "login",
        "UsePAM yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive\nBanner /run/banner",
    );
    let target = format!("login:{}", job.id);
    let mut connect = AtTerminal::start(&lab, &["connect", &target]);
    connect.wait("Password: ", 1);
    connect.press("1\n");
    connect.wait("Password: ", 2);
    connect.press("314159\n");
    let shown = connect.wait("Ctrl-C ends the tunnel", 1);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    // Nothing of ssh's words stands beside its prompt.
    for text in ["Welcome to the login node", "A code was sent to your phone"] {
        let line = lines.iter().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no {text:?}: {shown}"));
        assert!(!line.contains("Password:"), "{line}");
    }
    let logins = lab
        .sshd_log("login")
        .matches("Accepted keyboard-interactive")
        .count();
    assert_eq!(logins, 1, "{}", lab.sshd_log("login"));
    // Nobody is asked again.
    cut(&lab);
    let (code, shown) = connect.finish();
    assert_eq!(code, 6, "{shown}");
    assert!(shown.contains("cannot log in again by itself"), "{shown}");
    assert_eq!(shown.matches("Password: ").count(), 2, "{shown}");
    job.cancel();
}
