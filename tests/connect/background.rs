use super::{Connect, assert_nothing_left, cut, status, views};
use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Runs a command in a terminal of its own that is closed as soon as the command has ended: all that is left in it gets SIGHUP. Prints what
/// the command said and its exit code.
const TERMINAL: &str = "
import os, pty, sys
pid, screen = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', '\"$@\"; echo code $?', 'sh'] + sys.argv[1:])
said = b''
while True:
    try:
        some = os.read(screen, 4096)
    except OSError:
        break
    if not some:
        break
    said += some
os.close(screen)
os.waitpid(pid, 0)
print(said.decode())
";

/// In place of a browser: notes the mode of the file that it is told of, and what is in it.
const BROWSER: &str =
    "#!/bin/sh\nfile=${1#file://}\n{ stat -c %a \"$file\"; cat \"$file\"; } >>\"$HOME/opened\"\n";

fn laptop(lab: &Lab, words: &str) -> crate::support::lab::Done {
    lab.shell(ALICE, "laptop", &format!("ipjob connect {words}"))
}

fn list(lab: &Lab) -> Vec<Value> {
    let text = laptop(lab, "--list --json").text;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Nothing of a connect is left, and no log of one of the background.
fn assert_all_gone(lab: &Lab, profile: &str) {
    assert_nothing_left(lab, profile);
    assert!(!lab.laptop_home(".local/state/ipjob/connect").exists());
    let left = lab.shell(
        ALICE,
        "laptop",
        "ps -o args= -u alice | grep 'connect --behind' | grep -v grep",
    );
    assert_eq!(left.text, "");
    assert_eq!(laptop(lab, "--list").text, "no connections\n");
}

/// Begins one of the background in a terminal that is closed then; Jupyter's address.
fn begin_in_a_terminal(lab: &Lab, target: &str, profile: &str) -> String {
    let begun = lab
        .on(ALICE, "laptop")
        .args(["python3", "-c", TERMINAL])
        .args(["ipjob", "connect", "--background", target])
        .output()
        .expect("lab runs");
    let said = String::from_utf8_lossy(&begun.stdout).replace('\r', "");
    assert!(said.contains("code 0"), "{said}");
    let end = format!("`ipjob connect --disconnect {profile}` ends the tunnel");
    assert!(said.contains(&end), "{said}");
    let url = said.lines().find_map(|line| line.split_once("jupyter  "));
    url.expect("an address").1.to_owned()
}

/// Puts a browser on PATH that notes what it is told.
fn put_browser(lab: &Lab) {
    let browser = lab.share().join("xdg-open");
    fs::write(&browser, BROWSER).expect("written");
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).expect("set");
}

/// Nobody else gets at a tunnel, which `told` tells of.
fn assert_closed_to_others(lab: &Lab, profile: &str, told: &Value) {
    let others = lab.shell("bob", "laptop", &format!("ipjob connect --list; ipjob connect --disconnect {profile}; cat ~alice/.ipython/profile_{profile}/*.json ~alice/.local/state/ipjob/connect/* /tmp/ipjob-connect-*/*; kill {}", told["pid"]));
    assert_ne!(others.code, 0);
    let text = others.text;
    assert!(
        text.starts_with("no connections\n") && !text.contains("token="),
        "{text}"
    );
    let log = told["log"].as_str().expect("a log");
    let own = format!("~/.ipython/profile_{profile}");
    let modes = lab.shell(
        ALICE,
        "laptop",
        &format!("stat -c %a {own} {own}/ipjob-connect.json {log} $(dirname {log})"),
    );
    assert_eq!(modes.text, "700\n600\n600\n700\n");
}

#[test]
fn a_connect_in_the_background_outlives_its_terminal_and_is_found_listed_opened_and_ended() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode notebook --mpi none");
    job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let target = format!("login:{}", job.id);
    put_browser(&lab);
    let url = &begin_in_a_terminal(&lab, &target, &profile);
    assert_eq!(status(&lab, url), "200");
    assert_eq!(views(&lab, &profile), "[0]");
    // Still the first ssh, which has not heard of the terminal's end.
    let logins = || lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins(), 1);

    let told = list(&lab);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["state"], &told[0]["background"]),
        (&"connected".into(), &true.into())
    );
    assert_eq!(
        (told[0]["url"].as_str(), told[0]["host"].as_str()),
        (Some(url.as_str()), Some("login"))
    );
    let table = laptop(&lab, "--list").text;
    assert!(
        table.contains(&target) && table.contains("http://127.0.0.1:"),
        "{table}"
    );
    assert!(!table.contains("token"), "{table}");

    // The next connect finds it, without a login, for people and for programs.
    let second = laptop(&lab, &target);
    assert_eq!(second.code, 0, "{}", second.text);
    assert!(
        second.text.contains("connected already") && second.text.contains(url),
        "{}",
        second.text
    );
    let again = laptop(&lab, &format!("--background --json {target}"));
    let line: Value = serde_json::from_str(&again.text).expect("one object on one line");
    assert_eq!((again.code, line["url"].as_str()), (0, Some(url.as_str())));
    assert!(!lab.laptop_home("opened").exists());
    assert_eq!(laptop(&lab, &format!("--open {target}")).code, 0);
    let page = wait_for("the browser", || {
        fs::read_to_string(lab.laptop_home("opened"))
            .ok()
            .filter(|page| page.contains("</a>"))
    });
    assert!(
        page.starts_with("600\n") && page.contains(&format!("url={url}\"")),
        "{page}"
    );
    assert_eq!(logins(), 1);

    assert_closed_to_others(&lab, &profile, &told[0]);
    let log = told[0]["log"].as_str().expect("a log");

    // A lost connection comes back.
    cut(&lab);
    wait_for("the loss in the log", || {
        lab.shell(ALICE, "laptop", &format!("grep 'was lost' {log}"))
            .text
            .contains("login")
            .then_some(())
    });
    wait_for("the connection", || {
        (list(&lab)[0]["state"] == "connected" && logins() == 2).then_some(())
    });
    assert_eq!(status(&lab, url), "200");

    let ended = laptop(&lab, "--disconnect");
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(
        ended
            .text
            .contains(&format!("disconnected: {target}; the job keeps running")),
        "{}",
        ended.text
    );
    assert_all_gone(&lab, &profile);
    let none = laptop(&lab, "--disconnect");
    assert_eq!(none.code, 5, "{}", none.text);
    assert_eq!(job.record().expect("a record")["state"], "ready");
    job.cancel();
}

#[test]
fn nothing_is_left_of_a_connect_in_the_background_whichever_way_it_ends() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N1", "-n1", "--hold"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let profile = format!("job_{}", job.id);
    let target = format!("login:{}", job.id);
    let background = ["--background", target.as_str()];

    // Interrupted before it can be used: both end, with a code that is no success.
    for signal in ["INT", "KILL"] {
        let mut waiting = Connect::start(&lab, &profile, &background);
        waiting.wait_line("the job is pending");
        let kill = format!(
            "kill -{signal} $(ps -o pid=,args= -u alice | sed -n 's/^ *\\([0-9]*\\) ipjob connect --background.*/\\1/p')"
        );
        assert_eq!(lab.shell(ALICE, "laptop", &kill).code, 0);
        let (code, output) = waiting.finish();
        assert_ne!(code, 0, "{output}");
        wait_for("the end of the other one", || {
            (!lab
                .laptop_home(format!(".ipython/profile_{profile}"))
                .exists())
            .then_some(())
        });
        assert_all_gone(&lab, &profile);
    }

    lab.shell(ALICE, "login", &format!("scontrol release {}", job.id));
    job.wait_state("ready");
    // One in front is no reason to end: its terminal is another's.
    let mut front = Connect::start(&lab, &profile, &[&target]);
    front.wait_line("ready: job");
    for args in [&background[..], &background[1..]] {
        let (code, output) = super::refused(&lab, args);
        assert_eq!(code, 2, "{output}");
        assert!(
            output.contains("is already connected") && output.contains("--disconnect"),
            "{output}"
        );
    }
    assert_eq!(laptop(&lab, &format!("--disconnect {target}")).code, 0);
    assert_eq!(front.finish().0, 0);

    // Killed.
    assert_eq!(laptop(&lab, &format!("--background {target}")).code, 0);
    let pid = list(&lab)[0]["pid"].clone();
    lab.kill("laptop", &pid);
    wait_for("the killed one in the list", || {
        (list(&lab)[0]["state"] == "killed").then_some(())
    });
    let removed = laptop(&lab, &format!("--disconnect {}", job.id));
    assert_eq!(removed.code, 0, "{}", removed.text);
    assert_all_gone(&lab, &profile);

    // A login that would have to ask is the end, which the list tells.
    assert_eq!(laptop(&lab, &format!("--background {target}")).code, 0);
    let keys = lab.home(".ssh/authorized_keys");
    let away = lab.home(".ssh/away");
    fs::rename(&keys, &away).expect("moved");
    cut(&lab);
    let failed = wait_for("the failure", || {
        list(&lab).into_iter().find(|it| it["state"] == "failed")
    });
    let note = failed["note"].as_str().expect("a note");
    assert!(note.contains("cannot log in again by itself"), "{note}");
    assert_nothing_left(&lab, &profile);
    fs::rename(&away, &keys).expect("moved");
    assert_eq!(laptop(&lab, &format!("--disconnect {profile}")).code, 0);
    assert_all_gone(&lab, &profile);

    // One whose profile has gone already, and which has not said why yet, is not told of: it still holds its log.
    let ending =
        "cd ~/.local/state/ipjob && mkdir -p connect && echo '  0.0s' >connect/job_9.log && ";
    let told = lab.shell(
        ALICE,
        "laptop",
        &format!("{ending} flock connect/job_9.log ipjob connect --list"),
    );
    assert_eq!((told.code, told.text.trim()), (0, "no connections"));
    assert!(
        list(&lab)[0]["note"]
            .as_str()
            .is_some_and(|note| note.starts_with("it was killed"))
    );
    assert_eq!(laptop(&lab, "--disconnect job_9").code, 0);

    // The job's end.
    assert_eq!(laptop(&lab, &format!("--background {target}")).code, 0);
    job.cancel();
    wait_for("the end", || list(&lab).is_empty().then_some(()));
    assert_all_gone(&lab, &profile);
}
