use super::{Connect, configure_sshd, refused};
use crate::support::{Lab, lab::ALICE};
use std::fs;

#[test]
fn what_ssh_refuses_is_told_in_its_own_words_with_what_to_do() {
    let lab = needed!(Lab::up(&[]));
    let known = lab.laptop_home(".ssh/known_hosts");
    let good = fs::read_to_string(&known).expect("known hosts");
    let tell = |expected: i32, args: &[&str], words: &[&str]| {
        let (code, output) = refused(&lab, args);
        assert_eq!(code, expected, "{args:?}: {output}");
        for word in words {
            assert!(output.contains(word), "{word}: {output}");
        }
    };
    tell(
        6,
        &["nowhere.invalid:1"],
        &["Could not resolve hostname", "hint:"],
    );
    // The key of another host under the name of this one.
    let other = good
        .lines()
        .find(|line| line.starts_with("node1"))
        .expect("node1's");
    let key = other.split_once(' ').expect("a key").1;
    fs::write(&known, format!("login,10.78.0.2 {key}\n")).expect("written");
    tell(6, &["login:1"], &["Host key verification failed", "hint:"]);
    // Unknown, and nobody there to be asked.
    fs::write(&known, "").expect("written");
    tell(6, &["login:1"], &["Host key verification failed"]);
    fs::write(&known, &good).expect("written");
    // Another key than the one that is let in, and no terminal for a password.
    let key = lab.laptop_home(".ssh/id_ed25519");
    let away = lab.laptop_home(".ssh/away");
    fs::rename(&key, &away).expect("moved");
    tell(6, &["login:1"], &["Permission denied", "by hand"]);
    fs::rename(&away, &key).expect("moved");
    // No ssh at all.
    let program = lab.ipjob().display().to_string();
    let done = lab.shell(
        ALICE,
        "laptop",
        &format!("PATH=/nowhere {program} connect login:1"),
    );
    assert_eq!(done.code, 4, "{}", done.text);
    assert!(done.text.contains("ssh is not on PATH"), "{}", done.text);
}

#[test]
fn a_laptop_or_a_server_that_forbids_what_is_needed_is_told() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode notebook --mpi none");
    let record = job.wait_state("ready");
    let target = format!("login:{}", job.id);
    let profile = lab.laptop_home(format!(".ipython/profile_job_{}", job.id));

    // Somebody's own profile of that name is not touched.
    let mine = profile.join("security/ipcontroller-client.json");
    let made = lab.shell(ALICE, "laptop", &format!("mkdir -p ~/.ipython/profile_job_{0}/security; echo mine >~/.ipython/profile_job_{0}/security/ipcontroller-client.json", job.id));
    assert_eq!(made.code, 0, "{}", made.text);
    let (code, output) = refused(&lab, &[&target]);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("did not create it"), "{output}");
    assert_eq!(fs::read_to_string(&mine).expect("it stays"), "mine\n");
    fs::remove_dir_all(lab.laptop_home(".ipython")).expect("removed");

    // A home that cannot be written.
    lab.shell("root", "laptop", "chmod 500 /home/alice");
    let (code, output) = refused(&lab, &[&target]);
    assert_eq!(code, 4, "{output}");
    assert!(output.contains("cannot be made"), "{output}");
    lab.shell("root", "laptop", "chmod 700 /home/alice");

    // All local ports that may be taken are.
    let busy = format!(
        "import socket, subprocess, sys\ns = socket.socket(); s.bind(('127.0.0.1', 40000)); s.listen()\n\
         done = subprocess.run(['ipjob', 'connect', '--local-ports', '40000', '{target}'], capture_output=True, text=True)\n\
         print(done.returncode, done.stderr)"
    );
    let told = lab.python("laptop", &busy);
    assert!(
        told.starts_with("4 ") && told.contains("--local-ports 40000"),
        "{told}"
    );

    // A port that is taken alone is given another number.
    let port = record["port"].as_u64().expect("a port");
    let hold = format!(
        "import socket, sys\ns = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen()\nprint('held', flush=True)\nsys.stdin.read()"
    );
    let mut holder = lab
        .on(ALICE, "laptop")
        .args(["python3", "-c", &hold])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("lab runs");
    let mut line = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().expect("piped"), &mut line).expect("it holds");
    let mut connect = Connect::start(&lab, &format!("job_{}", job.id), &[&target]);
    let url = connect.wait_url();
    assert!(!url.contains(&format!(":{port}/")), "{url}");
    assert_eq!(super::status(&lab, &url), "200");
    connect.interrupt();
    drop(holder.stdin.take());
    holder.wait().expect("it ends");

    // A login node that forbids every forward.
    configure_sshd(&lab, "login", "AllowTcpForwarding no");
    let (code, output) = refused(&lab, &[&target]);
    assert_eq!(code, 6, "{output}");
    assert!(output.contains("administratively prohibited"), "{output}");
    assert!(output.contains("AllowTcpForwarding"), "{output}");
    job.cancel();
}
