//! What a user's ssh and shell are set to for his own sessions does not hold for ours.

use crate::connect::Connect;
use crate::support::{Lab, lab::ALICE};
use std::fs;

/// For somebody who is led into his multiplexer, or sent into the background, by `ssh login`.
const CONFIG: &str = "Host login
    RemoteCommand tmux new-session -A
    RequestTTY force
    StdinNull yes
    ForkAfterAuthentication yes
";

#[test]
fn neither_a_remote_command_nor_another_shell_is_in_the_way() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], "exec ipjob --mode cluster-only --mpi none");
    job.wait_state("ready");
    let config = lab.laptop_home(".ssh/config");
    let own = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, format!("{CONFIG}{own}")).expect("written");
    let shell = lab.shell(ALICE, "login", "echo 'exec zsh' >>~/.bashrc");
    assert_eq!(shell.code, 0, "{}", shell.text);
    let led = lab.shell(
        ALICE,
        "laptop",
        "echo 'echo zsh $ZSH_VERSION' | ssh -F none login exec /bin/sh -s",
    );
    assert!(led.text.starts_with("zsh 5"), "{}", led.text);

    let target = format!("login:{}", job.id);
    let mut connect = Connect::start(&lab, "mine", &["--profile", "mine", &target]);
    connect.wait_line("ready: job");
    connect.interrupt();
    for (command, text) in [
        ("status", "ready"),
        ("stop", "has ended: SIGTERM"),
        ("wait --for ended", "has ended"),
        ("clean", "removed"),
    ] {
        let done = lab.shell(ALICE, "laptop", &format!("ipjob {command} {target}"));
        assert_eq!(done.code, 0, "{command}: {}", done.text);
        assert!(done.text.contains(text), "{command}: {}", done.text);
    }
    job.finish();
}
