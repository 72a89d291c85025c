use super::{assert_nothing_left, start};
use crate::support::{Lab, lab::ALICE, wait_for};

/// Does what VS Code's Remote-SSH does by its command line: each window is a `ssh -T -D PORT HOST bash` with a script on its stdin, which finds
/// or starts the server and tells its port; all else goes through PORT.
const WINDOWS: &str = r#"
import socket, subprocess, sys

SERVER = b'''
if ! [ -f server ]; then
    mkfifo told
    nohup python3 -u -m http.server --bind 127.0.0.1 0 >told 2>/dev/null </dev/null &
    read -r _ _ _ _ _ port _ <told
    echo "$port" >server
fi
echo "listeningOn==$(cat server)=="
'''

def window(port):
    line = ["ssh", "-T", "-D", f"127.0.0.1:{port}", sys.argv[1], "bash"]
    ssh = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ssh.stdin.write(SERVER)
    ssh.stdin.flush()
    told = ssh.stdout.readline().split(b"==")
    assert told[0] == b"listeningOn", told
    return ssh, int(told[1])

def is_served(port, server):
    with socket.create_connection(("127.0.0.1", port)) as way, way.makefile("rwb") as words:
        def say(what):
            words.write(what)
            words.flush()
        say(b"\5\1\0")
        assert words.read(2) == b"\5\0"
        say(b"\5\1\0\1\x7f\0\0\1" + server.to_bytes(2, "big"))
        assert words.read(10)[:2] == b"\5\0"
        say(b"GET / HTTP/1.0\r\n\r\n")
        return b" 200 " in words.readline()

one, server = window(8125)
assert is_served(8125, server)
two, same = window(8126)
assert same == server and is_served(8126, server)
one.terminate()
one.wait()
assert is_served(8126, server)
two.terminate()
two.wait()
"#;

/// The server is of the connection's step: with one connection for all windows it outlives the first.
const SETTINGS: &str = r#"set -e
ipjob ssh --config "$1" >.ssh/ipjob.conf
{
    echo 'Include ipjob.conf'
    cat .ssh/config
    printf '%s\n' 'Host ipjob-*' 'ControlMaster auto' 'ControlPath ~/.ssh/%C' 'ControlPersist 10m'
} >.ssh/new && mv .ssh/new .ssh/config
"#;

#[test]
fn windows_of_an_editor_share_what_one_of_them_has_started() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let (settings, windows) = (lab.share().join("settings"), lab.share().join("windows"));
    std::fs::write(&settings, SETTINGS).expect("written");
    std::fs::write(&windows, WINDOWS).expect("written");
    let line = format!(
        "bash {} login:{2} && python3 {} ipjob-login-{2}",
        settings.display(),
        windows.display(),
        job.id
    );
    let done = lab.shell(ALICE, "laptop", &line);
    assert_eq!((done.code, done.text.as_str()), (0, ""));
    let logins = lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins, 1, "one for all windows: {}", lab.sshd_log("login"));
    let server = || {
        let line = "ps -o args= -u alice | grep -c '[h]ttp.server'";
        lab.shell(ALICE, "node1", line).text
    };
    assert_eq!(server(), "1\n");
    let end = format!("ssh -O exit ipjob-login-{}", job.id);
    assert_eq!(lab.shell(ALICE, "laptop", &end).code, 0);
    wait_for("the end of the server", || {
        (server() == "0\n").then_some(())
    });
    assert_nothing_left(&lab, &job);
    job.cancel();
}
