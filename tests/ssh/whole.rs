use super::{SECRET, Session, assert_nothing_left, start, wait_for_file};
use crate::support::{Lab, lab::ALICE, wait_for};
use std::fs;

/// Uses the cluster from a session, as a program of the user's would.
const CLIENT: &str = "import os, ipyparallel as ipp; print(ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=60).ids)";

#[test]
fn a_session_has_the_jobs_environment_on_the_node_of_choice() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let line = "hostname; echo $SLURMD_NODENAME $SLURM_JOB_ID $SLURM_JOB_NUM_NODES $SLURM_PROCID. $MARKER; greet $USER; exit 7";
    let laptop = format!("login:{}", job.id);
    for (machine, args, node) in [
        ("login", vec![job.id.as_str()], "node1"),
        ("laptop", vec![laptop.as_str()], "node1"),
        ("laptop", vec!["--node", "node2", "login:"], "node2"),
    ] {
        let args = [args.as_slice(), &["--", line]].concat();
        let (code, output, errors) = Session::start(&lab, machine, &args).finish();
        let expected = format!("{node}\n{node} {} 2 . of the script\nhello alice\n", job.id);
        assert_eq!(
            (code, output, errors.as_str()),
            (7, expected, ""),
            "{machine} {args:?}"
        );
    }
    let logins = lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins, 2, "one for each session: {}", lab.sshd_log("login"));
    // Steps of the whole job, and the cluster.
    for (line, expected) in [
        ("srun hostname | sort", "node1\nnode2\n".to_owned()),
        (&format!("python3 -c \"{CLIENT}\""), "[0, 1]\n".to_owned()),
        // No shell of a login, whose profile would set PATH anew.
        ("echo $PATH", format!("{}\n", lab.path())),
    ] {
        let (code, output, errors) =
            Session::start(&lab, "laptop", &[&laptop, "--", line]).finish();
        assert_eq!((code, output), (0, expected), "{line}: {errors}");
    }
    let typed = lab.shell(
        ALICE,
        "laptop",
        &format!("printf 'tty; exit 5\\n' | ipjob ssh --ssh-arg=-tt {laptop}"),
    );
    assert!(
        typed.code == 5 && typed.text.contains("/dev/pts/"),
        "{}",
        typed.text
    );
    assert_nothing_left(&lab, &job);
    job.cancel();
    assert!(!job.profile("ipjob-runtime").exists());
}

#[test]
fn another_user_neither_gets_in_nor_sees_what_passes() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let open = lab.shell(ALICE, "login", "chmod 755 $HOME");
    assert_eq!(open.code, 0, "{}", open.text);
    let listening = || lab.shell("root", "node2", "ss -Hltnp | grep -c sshd").text;
    let before = listening();
    let target = format!("login:{}", job.id);
    let args = [
        "--node=node2",
        target.as_str(),
        "--",
        "mkfifo gate; touch begun; cat gate",
    ];
    let session = Session::start(&lab, "laptop", &args);
    wait_for_file(&lab, "begun");

    let foreign = lab.shell("bob", "login", &format!("ipjob ssh {} -- id", job.id));
    assert!(
        foreign.code == 255 && foreign.text.contains("is alice's, not yours"),
        "{}",
        foreign.text
    );
    assert_eq!(listening(), before, "no port of an sshd for the session");
    let host_key = fs::read_to_string(job.profile("ipjob-runtime/ssh/host")).expect("a key");
    let name = format!(".local/state/ipjob/ssh/ipjob-login-{}-node2/key", job.id);
    let own_key = fs::read_to_string(lab.laptop_home(name)).expect("a key");
    let middle = |key: &str| key.lines().nth(2).expect("a key").to_owned();
    for machine in ["laptop", "login", "node1", "node2"] {
        let seen = lab.shell(
            "bob",
            machine,
            "ps -eo args; find /home/alice /tmp /dev/shm /run -readable -type f -size -100k -exec cat {} + 2>/dev/null; cat /proc/[0-9]*/environ 2>/dev/null",
        );
        for secret in [SECRET, &middle(&host_key), &middle(&own_key)] {
            let found = seen.text.lines().find(|line| line.contains(secret));
            // The batch script is alice's file, which she has opened to all with her home.
            let is_script = found.is_some_and(|line| line.contains("export MARKER"));
            assert!(found.is_none() || is_script, "{machine}: {found:?}");
        }
        let inside = lab.shell("bob", machine, "ls /home/alice/.local/state/ipjob/ssh/* /home/alice/.ipython/profile_job_*/ipjob-runtime");
        assert!(
            !inside.text.contains("host") && !inside.text.contains("key"),
            "{machine}: {}",
            inside.text
        );
    }
    lab.shell(ALICE, "node2", "echo enough >gate");
    let (code, output, errors) = session.finish();
    assert_eq!(
        (code, output.as_str(), errors.as_str()),
        (0, "enough\n", "")
    );
    assert_nothing_left(&lab, &job);
    job.cancel();
}

#[test]
fn a_host_key_that_is_not_the_jobs_is_refused() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let other = start(&lab);
    let (code, _, errors) = Session::start(&lab, "login", &[&other.id, "--", "true"]).finish();
    assert_eq!((code, errors.as_str()), (0, ""));
    // Somebody in between who leads to another sshd.
    let record = format!("/home/alice/.ipython/profile_job_{}/ipjob.json", other.id);
    let text = format!(
        "#!/bin/sh\nexec {} sshd {record} \"$3\"\n",
        lab.ipjob().display()
    );
    let middle = lab.script("middle", &text).display().to_string();
    let args = ["--remote-ipjob", &middle, &job.id, "--", "touch pwned"];
    let (code, _, errors) = Session::start(&lab, "login", &args).finish();
    assert_eq!(code, 255, "{errors}");
    assert!(errors.contains("Host key verification failed"), "{errors}");
    assert!(!lab.home("pwned").exists());
    assert_nothing_left(&lab, &job);
    job.cancel();
    other.cancel();
}

#[test]
fn where_there_can_be_no_session_is_said_with_what_to_do() {
    let lab = needed!(Lab::up(&[]));
    let job = start(&lab);
    let waits = lab.submit(&["-N1", "--hold"], "exec ipjob --mode cluster-only");
    let hidden = lab.shell("root", "node2", "mount --bind /dev/null /usr/sbin/sshd");
    assert_eq!(hidden.code, 0, "{}", hidden.text);
    let local = lab.shell(
        ALICE,
        "login",
        "ipjob --mode cluster-only --launcher local -n 1 --detach 2>&1",
    );
    assert_eq!(local.code, 0, "{}", local.text);
    let target = |job: &str| format!("login:{job}");
    for (args, words) in [
        (
            vec!["--node=node2", &target(&job.id)],
            vec![
                "no session can be opened on node2",
                "there is no sshd on node2",
                &format!(
                    "`ssh -t login srun --jobid={} --overlap --nodelist=node2 --pty bash`",
                    job.id
                ),
            ],
        ),
        (
            vec!["--node=node3", &target(&job.id)],
            vec!["does not run on node3", "its nodes: node1, node2"],
        ),
        (
            vec![target(&waits.id).as_str()],
            vec![
                "is not running yet",
                &format!("`ipjob wait login:{}`", waits.id),
            ],
        ),
        (vec!["login:4711"], vec!["you have no job 4711 on login"]),
        (
            vec!["login:job_local"],
            vec!["runs without Slurm on login", "`ssh login`"],
        ),
        (vec!["login:"], vec!["which job? These are running"]),
        (
            vec!["nowhere:1"],
            vec!["ssh to nowhere failed", "Could not resolve hostname"],
        ),
    ] {
        let (code, output, errors) =
            Session::start(&lab, "laptop", &[args.as_slice(), &["--", "true"]].concat()).finish();
        assert_eq!((code, output.as_str()), (255, ""), "{errors}");
        for word in words {
            assert!(errors.contains(word), "{args:?}: no {word:?} in {errors}");
        }
        // ssh itself knows nothing that would explain it.
        assert!(!errors.contains("kex_exchange"), "{errors}");
    }
    // The way that is told.
    let told = format!(
        "srun --jobid={} --overlap --nodelist=node2 --pty hostname",
        job.id
    );
    let shell = lab.shell(ALICE, "laptop", &format!("ssh -tt login {told}"));
    assert!(
        shell.code == 0 && shell.text.contains("node2"),
        "{}",
        shell.text
    );
    let stopped = lab.shell(ALICE, "login", "ipjob stop job_local");
    assert_eq!(stopped.code, 0, "{}", stopped.text);
    wait_for("the end of keys", || {
        (!lab.laptop_home(".local/state/ipjob/ssh").exists()).then_some(())
    });
    waits.scancel();
    job.cancel();
}
