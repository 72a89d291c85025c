use super::{assert_nothing_left, start};
use crate::support::{Lab, lab::ALICE, program};

/// Carries 5 MB there and back by each program that uses ssh's configuration, and by a forwarded port.
const TRANSFERS: &str = r#"set -e
ipjob ssh --config "$1" >.ssh/ipjob.conf
{ echo 'Include ipjob.conf'; cat .ssh/config; } >.ssh/new && mv .ssh/new .ssh/config
cd /tmp
head -c 5M /dev/urandom >there
printf 'put there /tmp/by-sftp\nget /tmp/by-sftp back\n' | sftp -q -b - "$2" >/dev/null
cmp there back
scp -q there "$2:/tmp/by-scp"
scp -q "$2:/tmp/by-scp" back
cmp there back
if command -v rsync >/dev/null; then
    mkdir tree && cp there tree/1 && echo small >tree/2
    rsync -a tree "$2:/tmp/"
    rsync -a "$2:/tmp/tree/" back-tree
    diff -r tree back-tree
fi
ssh "$2" 'cat >/tmp/by-pipe; sha256sum </tmp/by-pipe' <there >sum
sha256sum <there | cmp - sum
ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:8123:127.0.0.1:8124 "$2" &
ssh "$2" 'cd /tmp && exec python3 -m http.server --bind 127.0.0.1 8124' >/dev/null 2>&1 &
python3 - <<'EOS'
import urllib.request
while True:
    try:
        page = urllib.request.urlopen("http://127.0.0.1:8123/by-scp").read()
        break
    except OSError:
        pass
assert page == open("there", "rb").read()
EOS
kill %1 %2
wait %1 %2 || true
echo all
"#;

#[test]
fn files_and_ports_go_through_the_entry_of_sshs_configuration() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let script = lab.share().join("transfers");
    std::fs::write(&script, TRANSFERS).expect("written");
    let line = format!(
        "bash {} login:{1} ipjob-login-{1}",
        script.display(),
        job.id
    );
    let done = lab.shell(ALICE, "laptop", &line);
    assert!(
        done.code == 0 && done.text.ends_with("all\n"),
        "{}",
        done.text
    );
    let sizes = lab.shell(
        ALICE,
        "node1",
        "stat -c %s /tmp/by-sftp /tmp/by-scp /tmp/by-pipe",
    );
    assert_eq!(sizes.text, "5242880\n".repeat(3));
    assert_nothing_left(&lab, &job);
    job.cancel();
    needed!(program(&["/usr/bin"], &["rsync"]));
}
