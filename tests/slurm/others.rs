//! What another user, on the same nodes, can do with a job: nothing.

use crate::support::{Lab, lab::ALICE};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

/// Run as bob on every machine; every line that it prints is something that he got.
const TRIES: &str = r"
import glob, json, os, sys, urllib.request
profile, page, info = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
def got(what):
    print('GOT', what, flush=True)
for path in [profile, profile + '/log', profile + '/security']:
    try:
        got((path, os.listdir(path)))
    except OSError:
        pass
for path in ['ipjob.json', 'log/ipjob-engines.log', 'security/ipcontroller-client.json', 'security/ipcontroller-engine.json', 'security/ipcontroller-ipjob0-client.json']:
    try:
        got((path, open(profile + '/' + path).read()))
    except OSError:
        pass
mine = os.getuid()
seen = 0
for process in glob.glob('/proc/[0-9]*'):
    try:
        if os.stat(process).st_uid != 20001:
            continue
        seen += 1
        # Open to all on these nodes, so nothing secret may stand there.
        line = open(process + '/cmdline').read()
        if info['secrets'][0] in line or info['secrets'][1] in line:
            got(line)
        got((process, open(process + '/environ').read()))
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        pass
for token in ['', '?token=', '?token=' + 'a' * 64]:
    for part in ['api/contents', 'api/kernels', 'api/sessions', 'api/terminals', 'lab/tree']:
        try:
            answer = urllib.request.urlopen(page + part + token, timeout=10)
            if '/login' not in answer.url:
                got((part, answer.status, answer.read(200)))
        except urllib.error.HTTPError as error:
            if error.code not in (403, 404, 405):
                got((part, error.code))
        except urllib.error.URLError as error:
            print('network:', error.reason)
import ipyparallel as ipp
info['connection']['key'] = 'a' * 36
file = '/tmp/guess-%d.json' % os.getpid()
open(file, 'w').write(json.dumps(info['connection']))
try:
    rc = ipp.Client(file, timeout=3)
    got(('a client', rc.ids, rc[:].apply_sync(os.getuid)))
except Exception as error:
    print('client:', type(error).__name__)
print('tried, with', seen, 'processes of hers in sight')
";

#[test]
fn another_user_gets_nothing() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode notebook --mpi none",
    );
    let record = job.wait_state("ready");
    let client = fs::read_to_string(job.profile("security/ipcontroller-client.json"));
    let mut connection: Value = serde_json::from_str(&client.expect("a file")).expect("JSON");
    let key = connection["key"].take();
    let info = serde_json::json!({"connection": connection, "secrets": [record["token"], key]});
    let url = record["url"].as_str().expect("a URL");
    let (page, _) = url.split_once("lab?token=").expect("a token");
    let dir = record["profile"]["dir"].as_str().expect("a directory");
    let tries: Vec<_> = ["node1", "node2", "login", "laptop", "ctl"]
        .into_iter()
        .map(|machine| {
            let child = lab
                .on("bob", machine)
                .args(["python3", "-c", TRIES, dir, page, &info.to_string()])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            (machine, child.expect("lab runs"))
        })
        .collect();
    for (machine, child) in tries {
        let output = child.wait_with_output().expect("our child");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("tried, with"), "{machine}: {text}\n{errors}");
        assert!(!text.contains("GOT"), "{machine}: {text}");
        assert!(text.contains("client: TimeoutError"), "{machine}: {text}");
        // The laptop's only way in is ssh to the login node, where he is bob.
        let is_outside = text.contains("network: ");
        assert_eq!(is_outside, machine == "laptop", "{machine}: {text}");
        let sees_hers = !text.contains("with 0 processes");
        assert_eq!(sees_hers, machine.starts_with("node"), "{machine}: {text}");
    }
    // The same ways are open to her, so it was not the network that kept him out.
    let line = format!(
        "python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' '{page}api/contents?token={}'",
        record["token"].as_str().expect("a token")
    );
    let hers = lab.shell(ALICE, "login", &line);
    assert_eq!(hers.code, 0, "{}", hers.text);
    let output = job.cancel().output;
    assert!(
        !output.contains(record["token"].as_str().expect("a token")),
        "{output}"
    );
}
