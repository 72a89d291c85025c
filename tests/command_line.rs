//! The command line as people and shells meet it: the manual, the completions, the man page. What cannot be used is refused in
//! `broken_world/options.rs`.

mod completion;

use crate::support::{Needed, Place, program};
use ipjob::failure::EXIT_CODES;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The options of a run that have no default because they have no value to give one to.
const BARE: &[&str] = &["--help", "--version"];

fn run(args: &[&str]) -> Output {
    Place::empty().ipjob(args).output().expect("it runs")
}

/// What a run prints to stdout; it must succeed and complain of nothing.
fn printed(args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).expect("text")
}

/// The options of a help text: the long name and all that is said of it, on one line.
fn options(help: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let name = line
            .split_ascii_whitespace()
            .map(|word| word.trim_end_matches(','))
            .find(|word| word.starts_with("--"));
        let heads = line.starts_with("  -") || line.starts_with("      --");
        match (heads, name, found.last_mut()) {
            (true, Some(name), _) => found.push((name.to_owned(), line.trim().to_owned())),
            (false, _, Some((_, text))) if line.starts_with("          ") => {
                *text += " ";
                *text += line.trim();
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_option_tells_its_default_and_its_variable() {
    let options = options(&printed(&["--help"]));
    assert!(options.len() > 15, "{options:?}");
    for (name, text) in options {
        if BARE.contains(&name.as_str()) {
            continue;
        }
        let variable = format!("IPJOB_{}", name[2..].to_uppercase().replace('-', "_"));
        assert!(text.contains(&format!("[env: {variable}=]")), "{text}");
        let default = text.contains("[default: ") || text.contains("[required]");
        assert!(default, "{name} tells no default: {text}");
    }
}

#[test]
fn the_variable_of_an_option_is_read() {
    let place = Place::with_fakes();
    let output = place
        .ipjob(["--dry-run"])
        .envs([
            ("IPJOB_MODE", "cluster-only"),
            ("IPJOB_ENGINES", "3"),
            ("IPJOB_PROFILE", "from_a_module"),
            ("IPJOB_STOP_TIMEOUT", "20s"),
        ])
        .output()
        .expect("it runs");
    let plan = String::from_utf8_lossy(&output.stdout);
    for part in [
        "mode         cluster-only",
        "engines      3 (at least 3)",
        "profile      from_a_module",
        "stop limit   20 s",
    ] {
        assert!(plan.contains(part), "no {part:?} in {plan}");
    }
}

#[test]
fn help_has_headings_a_table_of_exit_codes_and_examples_that_parse() {
    let help = printed(&["--help"]);
    for heading in [
        "Usage:",
        "Commands:",
        "Job:",
        "Engines:",
        "Controller:",
        "Jupyter:",
        "Files:",
        "Time:",
        "Exit codes:",
        "Signals:",
        "Variables:",
        "Environment of kernels and drivers:",
        "Examples:",
    ] {
        let found = help.lines().any(|line| line.starts_with(heading));
        assert!(found, "no {heading} in {help}");
    }
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
    let examples = help.split_once("Examples:\n").expect("examples").1;
    assert!(examples.lines().count() >= 3, "{examples}");
    let place = Place::with_fakes();
    place.link_fake("jupyter-lab", "jupyter-notebook");
    place.script("python", "exit 1");
    for example in examples.lines() {
        let words = example.trim().strip_prefix("ipjob ").expect("a command");
        let output = place
            .ipjob(["--dry-run"])
            .args(words.split(' '))
            .output()
            .expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{example}: {errors}");
    }
}

/// The rows of the table in a text that shows it as `--help` does.
fn shown_exit_codes(text: &str, heading: &str) -> Vec<(u8, String)> {
    let table = text.split_once(heading).expect("the table").1;
    table
        .lines()
        .map_while(|line| {
            let (code, meaning) = line.trim_start().split_once("  ")?;
            Some((code.parse().ok()?, meaning.to_owned()))
        })
        .collect()
}

#[test]
fn the_exit_codes_of_the_manual_are_those_of_the_source() {
    let codes: Vec<(u8, String)> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| (*code, (*meaning).to_owned()))
        .collect();
    assert_eq!(
        shown_exit_codes(&printed(&["--help"]), "Exit codes:\n"),
        codes
    );
    let page = printed(&["man"]).replace("\\*(Aq", "'").replace("\\-", "-");
    assert_eq!(shown_exit_codes(&page, ".SH \"EXIT STATUS\"\n.nf\n"), codes);
}

/// The words after this beginning that look like long options.
fn long_options(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !(char.is_ascii_lowercase() || char == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

/// A program of the system's.
fn system(name: &str) -> Needed<PathBuf> {
    program(&["/usr/bin", "/bin"], &[name])
}

/// Runs a program with this on its stdin; it must succeed and complain of nothing.
fn feed(program: impl AsRef<Path>, args: &[&str], input: &str) -> String {
    let program = program.as_ref();
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", program.display());
    assert_eq!(errors, "", "{}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn completions_know_every_option_and_shells_can_read_them() {
    let known: BTreeSet<String> = options(&printed(&["--help"]))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let bash = printed(&["completions", "bash"]);
    assert!(bash.contains("complete -F _ipjob"), "{bash}");
    assert!(long_options(&bash).is_superset(&known));
    feed("/bin/bash", &["-n"], &bash);
    let zsh = printed(&["completions", "zsh"]);
    assert!(zsh.starts_with("#compdef ipjob"), "{zsh}");
    assert!(long_options(&zsh).is_superset(&known));
    let fish = printed(&["completions", "fish"]);
    for option in &known {
        assert!(
            fish.contains(&format!(" -l {}", &option[2..])),
            "no {option}"
        );
    }
}

#[test]
fn zsh_can_read_its_completions() {
    let zsh = needed!(system("zsh"));
    let script = printed(&["completions", "zsh"]);
    feed(zsh, &["-n", "/dev/stdin"], &script);
}

#[test]
fn fish_can_read_its_completions() {
    let fish = needed!(system("fish"));
    let script = printed(&["completions", "fish"]);
    feed(fish, &["-n", "/dev/stdin"], &script);
}

#[test]
fn the_man_page_is_troff_and_names_every_option_and_variable() {
    let page = printed(&["man"]);
    assert!(
        page.lines().any(|line| line.starts_with(".TH ipjob 1 ")),
        "{page}"
    );
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "SIGNALS",
        "FILES",
        "EXAMPLES",
    ] {
        assert!(
            page.lines().any(|line| line == format!(".SH {section}")),
            "{section}"
        );
    }
    let plain = page.replace("\\-", "-");
    for (option, _) in options(&printed(&["--help"])) {
        assert!(plain.contains(&option), "no {option} in {plain}");
        let variable = format!("IPJOB_{}", option[2..].to_uppercase().replace('-', "_"));
        assert!(
            BARE.contains(&option.as_str()) || plain.contains(&variable),
            "no {variable} in {plain}"
        );
    }
    let groff = needed!(system("groff"));
    let shown = feed(groff, &["-man", "-Tutf8", "-ww"], &page);
    assert!(
        shown.contains("ipjob") && shown.contains("cluster-only"),
        "{shown}"
    );
}

#[test]
fn every_command_has_a_page_with_its_options() {
    let page = printed(&["man"]).replace("\\-", "-");
    let names: Vec<&str> = page
        .split("ipjob-")
        .filter_map(|rest| rest.split_once("(1)"))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    assert!(names.len() > 9, "{names:?}");
    let groff = needed!(system("groff"));
    for name in names {
        let page = printed(&["man", name]);
        assert!(page.contains(&format!(".TH ipjob-{name} 1 ")), "{page}");
        let plain = page.replace("\\-", "-");
        for (option, _) in options(&printed(&[name, "--help"])) {
            let option = option.split('[').next().expect("a name");
            assert!(plain.contains(option), "no {option} in {plain}");
        }
        let shown = feed(&groff, &["-man", "-Tutf8", "-ww"], &page);
        assert!(shown.contains(&format!("ipjob-{name}(1)")), "{shown}");
    }
    let refused = run(&["man", "probe"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("no command \"probe\""), "{errors}");
}

#[test]
fn an_entry_for_ssh_that_leads_nowhere_is_refused() {
    for (target, hint) in [
        ("job_local", "which `ipjob status` shows"),
        ("daint:job_local-2", "`ssh daint`"),
    ] {
        let output = run(&["ssh", "--config", target]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(output.stdout.is_empty());
        let named = target.rsplit(':').next().expect("a job");
        let told = format!("{named} is a job without Slurm");
        assert!(errors.contains(&told) && errors.contains(hint), "{errors}");
    }
}

#[test]
fn a_slip_in_a_commands_name_is_told_with_what_was_meant() {
    for (words, meant) in [
        (&["conect", "login:1"][..], "connect"),
        (&["stauts"], "status"),
        (&["--conect"], "connect"),
        (&["daint:123456"], "connect daint:123456"),
    ] {
        let output = run(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        let told = format!("did you mean `ipjob {meant}`?");
        assert!(errors.contains(&told), "{errors}");
    }
    let errors = run(&["driver.py"]).stderr;
    assert!(!String::from_utf8_lossy(&errors).contains("did you mean"));
}

/// The exit code and stderr of a dry run with these words and variables.
fn dry_run(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = place
        .ipjob(["--dry-run"].iter().chain(args))
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), errors)
}

#[test]
fn a_flag_wins_over_the_variable_of_its_opposite() {
    let place = Place::with_fakes();
    let mode = ["--mode", "cluster-only", "-n", "1"];
    for (flag, variable) in [("-q", "IPJOB_VERBOSE"), ("-v", "IPJOB_QUIET")] {
        let args = [&mode[..], &[flag]].concat();
        let (code, errors) = dry_run(&place, &args, &[(variable, "1")]);
        assert_eq!(code, Some(0), "{flag} {variable}: {errors}");
    }
}

#[test]
fn a_variable_that_nobody_reads_is_warned_of_once() {
    let place = Place::with_fakes();
    let mode = ["--mode", "cluster-only", "-n", "1"];
    let (code, errors) = dry_run(&place, &mode, &[("IPJOB_ENGINE", "4")]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(errors.matches("IPJOB_ENGINE is set").count(), 1, "{errors}");
    assert!(errors.contains("did you mean IPJOB_ENGINES?"), "{errors}");
}

#[test]
fn a_full_stdout_is_an_error_of_all_that_prints() {
    let place = Place::with_fakes();
    for args in [
        vec!["--dry-run", "--mode", "cluster-only", "-n", "1"],
        vec!["man"],
        vec!["completions", "bash"],
        vec!["template", "notebook"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let output = place
            .ipjob(&args)
            .stdout(full.expect("/dev/full"))
            .output()
            .expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {errors}");
        assert!(errors.contains("stdout cannot be written"), "{errors}");
    }
}

#[test]
fn make_install_puts_everything_below_destdir() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let make = needed!(system("make"));
    let place = Place::empty();
    let destination = place.dir().join("destination");
    let output = place
        .command(make)
        .current_dir(root)
        .args(["install", "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("BINARY={}", crate::support::binary().display()))
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let version = env!("CARGO_PKG_VERSION");
    for file in [
        "bin/ipjob",
        "share/man/man1/ipjob.1",
        "share/man/man1/ipjob-connect.1",
        "share/man/man1/ipjob-man.1",
        "share/bash-completion/completions/ipjob",
        "share/zsh/site-functions/_ipjob",
        "share/fish/vendor_completions.d/ipjob.fish",
        &format!("share/modulefiles/ipjob/{version}.lua"),
        &format!("share/modulefiles/ipjob/{version}"),
    ] {
        let data = fs::metadata(destination.join("usr").join(file));
        assert!(data.is_ok_and(|data| data.len() > 0), "no {file}");
    }
}
