//! Records, pointers and client files that another user has put where those of a job could be.

use crate::support::{Job, Lab, Place, chmod, lab::ALICE, root, venv};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Who writes them.
const MALLORY: u32 = 65533;

/// A process of the user's own that somebody else wants to see ended.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        let child = Command::new("tail")
            .args(["-f", "/dev/null"])
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }

    /// A record that calls it the ipjob of a job that is ready.
    fn record(&self, profile: &Path) -> String {
        let read = |path: &str| {
            fs::read_to_string(path)
                .expect("readable")
                .trim()
                .to_owned()
        };
        let pid = self.0.id();
        let stat = read(&format!("/proc/{pid}/stat"));
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let begin: u64 = fields
            .split(' ')
            .nth(19)
            .expect("a start")
            .parse()
            .expect("a number");
        let name = profile
            .to_str()
            .expect("text")
            .rsplit_once("profile_")
            .expect("a profile")
            .1;
        let record = json!({
            "version": 1, "state": "ready", "mode": "notebook", "reason": null,
            "job": {"cluster": "local", "id": null, "nodes": ["n"], "restart": 0, "deadline": null, "signal_to": null},
            "incarnation": {"id": "local.local.0.9f3c0d5e7a11b2c4", "host": read("/proc/sys/kernel/hostname"),
                "boot": read("/proc/sys/kernel/random/boot_id"), "pid": pid, "pid_start": begin},
            "profile": {"name": name, "dir": profile}, "host": "localhost", "ip": "127.0.0.1", "port": 9,
            "token": "his", "url": "http://127.0.0.1:9/lab?token=his",
            "controller": {"client_file": profile.join("client.json"), "pid": 8, "ipyparallel": "9.2.0"},
            "engines": {"expected": 1, "registered": 1}, "started": "2026-01-01T00:00:00Z",
            "updated": "2099-01-01T00:00:00Z", "refresh_s": 60
        });
        serde_json::to_string_pretty(&record).expect("JSON")
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `status`, `stop`, `clean` and `connect` with a shared IPython directory: what they say.
fn told(place: &Place, shared: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = place
        .ipjob(args)
        .env("IPYTHONDIR", shared)
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_record_that_another_user_wrote_is_not_believed() {
    needed!(root());
    let place = Place::empty();
    let shared = place.dir().join("shared");
    fs::create_dir(&shared).expect("a directory");
    let mut victim = Victim::start();
    let profile = |name: &str| shared.join(format!("profile_{name}"));
    // His own; one of the user's in a directory of his; the user's directory by his link; a file of his in the user's directory that
    // was open to him.
    for name in ["his", "moved", "linked", "open"] {
        let dir = profile(name);
        let place_of = if name == "linked" {
            place.dir().join("elsewhere")
        } else {
            dir.clone()
        };
        fs::create_dir(&place_of).expect("a directory");
        fs::write(place_of.join("ipjob.json"), victim.record(&dir)).expect("written");
        fs::write(place_of.join("client.json"), "{}").expect("written");
        let his: &[&Path] = match name {
            "his" => &[&dir, &dir.join("ipjob.json")],
            "moved" => &[&dir],
            "linked" => {
                symlink(&place_of, &dir).expect("a link");
                std::os::unix::fs::lchown(&dir, Some(MALLORY), None).expect("we are root");
                &[]
            }
            _ => &[&dir.join("ipjob.json")],
        };
        for path in his {
            chown(path, Some(MALLORY), None).expect("we are root");
        }
    }
    chmod(&shared, 0o1777);
    for command in ["status", "stop", "clean", "connect"] {
        for name in ["his", "moved", "linked", "open"] {
            let (code, text) = told(&place, &shared, &[command, &format!("job_{name}")]);
            assert_eq!(code, Some(5), "{command} {name}: {text}");
            let (code, text) = told(&place, &shared, &[command, name]);
            assert_eq!(code, Some(5), "{command} {name}: {text}");
            assert!(text.contains("no job "), "{command} {name}: {text}");
            assert!(!text.contains("127.0.0.1:9"), "{text}");
        }
    }
    let (code, text) = told(&place, &shared, &["status", "--json"]);
    assert_eq!((code, text.trim()), (Some(0), "[]"));
    // A pointer of the user's own leads there: it is told, and nothing is done.
    let state = place.dir().join(".local/state/ipjob");
    fs::create_dir_all(&state).expect("made");
    let pointer = json!({"version": 1, "cluster": "local", "job": null, "profile": "his", "host": "n",
        "record": profile("his").join("ipjob.json")});
    let text = serde_json::to_string_pretty(&pointer).expect("JSON");
    fs::write(state.join("local.n.his.0.json"), text).expect("written");
    let (code, text) = told(&place, &shared, &["status", "his"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("its record is not read"), "{text}");
    for command in ["stop", "clean", "connect"] {
        let (code, text) = told(&place, &shared, &[command, "his"]);
        assert!(code != Some(0), "{command}: {text}");
    }
    // And a pointer that is his is none.
    chown(&state, Some(MALLORY), None).expect("we are root");
    let (code, text) = told(&place, &shared, &["status", "--json"]);
    assert_eq!((code, text.trim()), (Some(0), "[]"));
    assert!(victim.lives(), "a process of the user's was ended");
    assert!(profile("moved").join("ipjob.json").exists());
}

/// The same over ssh: bob has written on the login node, and alice's shell names a directory of all.
#[test]
fn over_ssh_a_record_that_another_user_wrote_is_not_believed() {
    let lab = needed!(Lab::up(&[]));
    let rc = lab.shell(ALICE, "login", "echo 'export IPYTHONDIR=/tmp/shared' >>.bashrc; mkdir -m 1777 /tmp/shared; chmod 1777 /tmp/shared; tail -f /dev/null >/dev/null 2>&1 & echo $!");
    let pid: u32 = rc.text.trim().parse().expect("a process id");
    let record = json!({
        "version": 1, "state": "ready", "mode": "notebook", "reason": null,
        "job": {"cluster": "local", "id": null, "nodes": ["login"], "restart": 0, "deadline": null, "signal_to": null},
        "incarnation": {"id": "local.local.0.abc", "host": "login", "boot": "BOOT", "pid": pid, "pid_start": 77_777_777},
        "profile": {"name": "his", "dir": "/tmp/shared/profile_his", "log_dir": "/x"},
        "launcher": "local", "step": null, "warnings": [], "exit": null, "host": "login",
        "ip": "127.0.0.1", "port": 9, "token": "abc", "url": "http://127.0.0.1:9/lab?token=abc",
        "controller": {"client_file": "/tmp/shared/profile_his/client.json", "pid": 8, "ipyparallel": "9.2.0"},
        "engines": {"expected": 1, "registered": 1, "missing": [], "list": []},
        "timeline": [], "started": "2026-11-22T14:10:00Z", "updated": "2099-11-22T14:10:00Z", "refresh_s": 60,
    });
    let text = serde_json::to_string_pretty(&record).expect("JSON");
    let write = format!(
        "umask 022; mkdir -p /tmp/shared/profile_his && cat >/tmp/shared/profile_his/ipjob.json <<'END'
{text}
END
sed -i \"s/BOOT/$(cat /proc/sys/kernel/random/boot_id)/; s/77777777/$(sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f20)/\" /tmp/shared/profile_his/ipjob.json
echo '{{}}' >/tmp/shared/profile_his/client.json"
    );
    let written = lab.shell("bob", "login", &write);
    assert_eq!(written.code, 0, "{}", written.text);
    for command in ["status", "stop", "clean", "connect"] {
        let line = format!("{} {command} login:his", lab.ipjob().display());
        let tried = lab.shell(ALICE, "laptop", &line);
        assert_eq!(tried.code, 5, "{command}: {}", tried.text);
        assert!(tried.text.contains("no job "), "{command}: {}", tried.text);
    }
    let alive = lab.shell(ALICE, "login", &format!("kill -0 {pid}; kill {pid}"));
    assert_eq!(alive.code, 0, "{}", alive.text);
}

#[test]
fn a_record_in_a_directory_that_others_can_change_by_then_tells_the_end_all_the_same() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let directory = place.dir().join("records");
    fs::create_dir(&directory).expect("a directory");
    let record = directory.join("ipjob.json");
    let name = record.to_str().expect("text");
    let mut job = Job::start(
        &place,
        &["--mode", "cluster-only", "-n", "1", "--record", name],
    );
    job.wait_ready();
    chmod(&directory, 0o777);
    job.stop();
    let text = fs::read(&record).expect("it is there");
    let record: serde_json::Value = serde_json::from_slice(&text).expect("whole");
    assert_eq!(record["state"], "ended");
}
