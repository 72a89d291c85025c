//! As an app of Open OnDemand, as docs/hubs.md has a centre make it? The session's job runs in the lab's Slurm as the portal's own script runs it, and its
//! card is used from the login node.

use crate::support::lab::ALICE;
use crate::support::{Lab, Place, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

/// The line of docs/hubs.md with which a centre makes the app.
const MAKE: &str = "ipjob template ood | sh -s /var/www/ood/apps/sys/ipjob";

/// What the portal runs around the app's script.
const BASIC: &str = include_str!("ood/basic.sh");

const CARD: &str = include_str!("ood/card.py");

/// What a user's first cell does.
const CELL: &str = "
import ipyparallel as ipp, socket
rc = ipp.Client()
print('cell', len(rc), sorted(set(rc[:].apply_sync(socket.gethostname))))
";

/// A template of the app, filled in as ERB would: what is filled in is a name, perhaps with a method that makes a number of it.
fn filled_in(text: &str, values: &BTreeMap<&str, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        for tag in [format!("<%= {name} %>"), format!("<%= {name}.to_i %>")] {
            text = text.replace(&tag, value);
        }
    }
    assert!(!text.contains("<%"), "{text}");
    text
}

#[test]
fn the_app_is_the_files_of_the_repository() {
    let place = Place::empty();
    let line = MAKE.replace("/var/www/ood/apps/sys/ipjob", "app");
    let make = || {
        let directory = crate::support::binary();
        let directory = directory
            .parent()
            .expect("a directory")
            .display()
            .to_string();
        let mut command = place.command("sh");
        command.args(["-c", &format!("PATH={directory}:$PATH; {line}")]);
        command.output().expect("sh")
    };
    let first = make();
    assert!(first.status.success(), "{first:?}");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("sbatch/ood");
    let compared = place
        .command("diff")
        .arg("-r")
        .arg(source)
        .arg(place.dir().join("app"))
        .output();
    let compared = compared.expect("diff");
    assert!(compared.status.success(), "{compared:?}");
    let script = place.dir().join("app/template/script.sh");
    let mode = fs::metadata(&script)
        .expect("a script")
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    // What a centre has changed stays.
    fs::write(&script, "changed").expect("written");
    let again = make();
    assert!(!again.status.success(), "{again:?}");
    assert_eq!(fs::read_to_string(&script).expect("text"), "changed");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hubs.md"));
    assert!(page.expect("the page").contains(MAKE));
}

#[test]
fn a_session_of_two_nodes_is_used_by_its_card() {
    let lab = needed!(Lab::up(&[]));
    let line = MAKE.replace("/var/www/ood/apps/sys", "apps");
    let made = lab.shell(
        ALICE,
        "login",
        &format!("{line} && cp -r apps/ipjob/template session && cp -r session second"),
    );
    assert_eq!(made.code, 0, "{}", made.text);
    let app = |name: &str| fs::read_to_string(lab.home("apps/ipjob").join(name)).expect("a file");

    let form = [("nodes", "2"), ("engines", "2")].map(|(name, value)| (name, value.to_owned()));
    let submit = filled_in(&app("submit.yml.erb"), &BTreeMap::from(form));
    let options: Vec<&str> = submit
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- \"")?.strip_suffix('"'))
        .collect();
    assert_eq!(
        options,
        ["--nodes=2", "--ntasks-per-node=2", "--no-requeue"]
    );
    let job = lab.submit(&options, &format!("cd session\n{BASIC}"));

    // The portal shows the card when this is there.
    let connection = lab.home("session/connection.yml");
    let text = wait_for("connection.yml", || {
        assert!(!job.output().contains("error:"), "{}", job.output());
        let text = fs::read_to_string(&connection).ok()?;
        text.contains("password: ").then_some(text)
    });
    assert_eq!(job.record().expect("a record")["state"], "ready");
    let values: BTreeMap<&str, String> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let record = job.record().expect("a record");
    assert_eq!(record["port"].to_string(), values["port"]);
    assert_eq!(record["token"], values["password"]);

    let mut card = lab
        .on(ALICE, "login")
        .args([
            "python3",
            "-c",
            CARD,
            &values["host"],
            &values["port"],
            CELL,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lab runs");
    let page = filled_in(&app("view.html.erb"), &values);
    let mut stdin = card.stdin.take().expect("piped");
    stdin.write_all(page.as_bytes()).expect("it reads");
    drop(stdin);
    let seen = card.wait_with_output().expect("lab runs");
    let lab_page = format!("/node/{}/{}/lab", values["host"], values["port"]);
    assert_eq!(
        String::from_utf8_lossy(&seen.stdout),
        format!(
            "before 403\nwrong 401\nlogin 302 {lab_page}\npage 200\ncell 4 ['node1', 'node2']\n"
        ),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );

    // Another session of hers is given the same port.
    let taken = format!("find_port() {{ echo {}; }}\nset_up\n", values["port"]);
    let body = format!("cd second\n{}", BASIC.replace("set_up\n", &taken));
    let second = lab.submit(&["-N1", "-n1", "-w", &values["host"]], &body);
    let ended = second.finish();
    assert_eq!(ended.code, 1, "{}", ended.output);
    let told = format!("--jupyter-port {} cannot be used", values["port"]);
    assert!(ended.output.contains(&told), "{}", ended.output);
    assert!(ended.output.contains("held by pid "), "{}", ended.output);
    assert!(!lab.home("second/connection.yml").exists());

    let password = values["password"].clone();
    let ended = job.cancel();
    assert!(!ended.output.contains(&password), "{}", ended.output);
    job.assert_nothing_left();

    // Once that one has ended it is free at once, whatever connections linger.
    let third = lab.submit(
        &["-N1", "-n1", "-w", &values["host"]],
        &format!("rm -rf second/*\ncp -r apps/ipjob/template/* second\n{body}"),
    );
    let connection = lab.home("second/connection.yml");
    wait_for(&format!("the third card: {}", third.output()), || {
        assert!(!third.output().contains("error:"), "{}", third.output());
        connection.exists().then_some(())
    });
    third.cancel();
}
