//! What the shells themselves offer at the end of a line, with the scripts of `ipjob completions`.

use super::{feed, printed, system};
use crate::support::{Place, binary};
use std::fs;

/// What is offered at the end of a line: `Some` are all of it, in any order.
const LINES: &[(&str, &[&str])] = &[
    ("ipjob con", &["connect"]),
    ("ipjob --mo", &["--mode"]),
    ("ipjob --mode ", &["cluster-only", "notebook"]),
    ("ipjob connect --via ", &["auto", "forward", "jump", "srun"]),
    ("ipjob connect --op", &["--open"]),
    ("ipjob wait --for ", &["ended", "ready"]),
    ("ipjob ssh --no", &["--node"]),
    // What is hidden.
    ("ipjob prob", &[]),
    ("ipjob rel", &[]),
    ("ipjob ssh --prox", &[]),
    ("ipjob --detached", &[]),
    // Options of the main command.
    ("ipjob connect --mo", &[]),
    ("ipjob status --eng", &[]),
];

/// Lines at whose end no file may be offered.
const NO_FILES: &[&str] = &["ipjob ", "ipjob --mode ", "ipjob -n ", "ipjob man "];

/// A file of the directory in which it is completed.
const FILE: &str = "a-file-that-lies-there";

/// What is offered where a host and a job are wanted, with the files of [`furnish`].
const TARGETS: &[(&str, &[&str])] = &[
    ("ipjob connect da", &["daint:", "dada:"]),
    ("ipjob connect --open 1", &["12"]),
    ("ipjob status daint:", &["daint:123", "daint:124"]),
    ("ipjob ssh daint:123", &["daint:123"]),
    ("ipjob up da", &["dada:", "daint:"]),
    ("ipjob up daint:", &[]),
    // A host that asks, or does not answer.
    ("ipjob stop dada:", &[]),
];

/// In the place of ssh: one host answers at once, another never.
const SSH: &str = "case $* in
-V) echo OpenSSH_9.2p1 >&2 ;;
*BatchMode=yes*' daint '*) printf '%s\\n' lab.123.job_123.json 124 125_[0-3] ;;
*) exec tail -f /dev/null ;;
esac";

/// Puts an ipjob and an ssh on PATH, and a configuration and a pointer into the home directory.
fn furnish(place: &Place) {
    place.script("ssh", SSH);
    std::os::unix::fs::symlink(binary(), place.dir().join("bin/ipjob")).expect("linked");
    let made = |path: &str, text: &str| {
        let file = place.dir().join(path);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, text).expect("written");
    };
    made(".ssh/config", "Host daint dada *.example\n");
    made(".local/state/ipjob/lab.12.job_12.json", "");
}

/// Completes all lines in a shell; `offered` is what it offers at the end of one.
fn check(offered: impl Fn(&Place, &str) -> Vec<String>) {
    let place = Place::empty();
    fs::write(place.dir().join(FILE), "").expect("written");
    for (line, expected) in LINES {
        let mut words = offered(&place, line);
        words.sort();
        assert_eq!(&words, expected, "{line:?}");
    }
    furnish(&place);
    for (line, expected) in TARGETS {
        // For bash a colon ends a word, and what stands before it is not offered again.
        let whole = |word: String| match line
            .rsplit(' ')
            .next()
            .and_then(|word| word.split_once(':'))
        {
            Some((host, _)) if !word.contains(':') => format!("{host}:{word}"),
            _ => word,
        };
        let mut words: Vec<String> = offered(&place, line).into_iter().map(whole).collect();
        words.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(words, expected, "{line:?}");
    }
    for line in NO_FILES {
        let words = offered(&place, line);
        assert!(
            !words.iter().any(|word| word == FILE),
            "{line:?}: {words:?}"
        );
    }
}

#[test]
fn zsh_offers_what_can_follow() {
    let zsh = needed!(system("zsh"));
    let script = printed(&["completions", "zsh"]);
    let ask = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/command_line/offered.zsh"
    );
    check(|place, line| {
        let functions = place.dir().join("functions");
        fs::create_dir_all(&functions).expect("made");
        fs::write(functions.join("_ipjob"), &script).expect("written");
        let output = place
            .command(&zsh)
            .current_dir(place.dir())
            .env("TERM", "dumb")
            .args(["-f", ask])
            .arg(&functions)
            .arg(line)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {output:?}");
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    });
}

#[test]
fn fish_offers_what_can_follow() {
    let fish = needed!(system("fish"));
    let script = printed(&["completions", "fish"]);
    check(|place, line| {
        let file = place.dir().join("ipjob.fish");
        fs::write(&file, &script).expect("written");
        let ask = format!(
            "set -x HOME {0}; set -x PATH {0}/bin $PATH; set -e XDG_STATE_HOME; cd {0}; source {1}; complete -C '{line}'\n",
            place.dir().display(),
            file.display()
        );
        let text = feed(&fish, &["--no-config"], &ask);
        let words = text.lines().filter_map(|line| line.split('\t').next());
        words.map(str::to_owned).collect()
    });
}

#[test]
fn bash_offers_what_can_follow() {
    let script = printed(&["completions", "bash"]);
    check(|place, line| {
        // As readline calls it: with the words, the last one and the one before.
        let ask = format!(
            "export HOME={0} PATH={0}/bin:$PATH; unset XDG_STATE_HOME; cd {0}\n{script}\ncompopt() {{ :; }}\nline='{line}'\nread -ra COMP_WORDS <<<\"$line\"\n\
             [[ $line == *' ' ]] && COMP_WORDS+=('')\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_LINE=$line COMP_POINT=${{#line}}\n\
             _ipjob ipjob \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            place.dir().display()
        );
        let text = feed("/bin/bash", &[], &ask);
        let words = text.lines().filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    });
}
