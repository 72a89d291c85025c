//! Completion scripts: what shells offer for an unfinished command line.

use super::{Cli, print};
use crate::failure::Outcome;
use clap::builder::ValueHint;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

/// What clap's script for fish does with an option that still wants its value: it takes the line for one that has a command.
const LEAVES: &str = "2>/dev/null\n    or return\n";

/// It has none yet, so the option's values are offered.
const STAYS: &str = "2>/dev/null\n    or return 0\n";

/// Where nothing says that a file is meant, fish is to offer none.
const NO_FILES: &str = "complete -c ipjob -f\n";

/// The commands of whose first argument hosts and jobs are offered, and the one that takes hosts alone.
const WITH_JOBS: &[&str] = &[
    "connect", "ssh", "status", "stop", "wait", "restart", "clean",
];
const WITH_HOSTS: &str = "up";

/// What clap's script for zsh offers where a host and where an address is wanted: here hosts with jobs, and hosts alone.
const OF_ZSH: [(&str, &str); 2] = [
    (":_hosts'", ":_ipjob_targets'"),
    (":_urls'", ":_ipjob_hosts'"),
];

const ZSH: &str = "_ipjob_offers() {
    local -a found
    found=(${(f)\"$(ipjob offers $only -- \"$PREFIX\" 2>/dev/null)\"})
    # After a host its job can follow.
    compadd \"$@\" -S '' -- ${(M)found:#*:}
    compadd \"$@\" -- ${found:#*:}
}

_ipjob_targets() {
    local -a only
    _ipjob_offers \"$@\"
}

_ipjob_hosts() {
    local -a only=(--hosts)
    _ipjob_offers \"$@\"
}

";

const BASH: &str = "_ipjob() {
    _ipjob_words \"$@\"
    local word=${COMP_LINE:0:COMP_POINT} only= line
    word=${word##*[[:space:]]}
    case ${COMP_WORDS[1]} in
    up) only=--hosts ;;
    @JOBS@) ;;
    *) return 0 ;;
    esac
    [[ $COMP_CWORD -gt 1 && $word != -* ]] || return 0
    case ${COMP_WORDS[COMP_CWORD - 1]} in
    --background | --open | --print | --json | --verbose | -v | --list | --disconnect | --new | --cancel-on-exit | --config | --all | --dry-run | --timeline | --watch) ;;
    -*) return 0 ;;
    esac
    # Its options are offered to a word that begins with a dash.
    [[ -n $word ]] || COMPREPLY=()
    while IFS= read -r line; do
        [[ $line != *: ]] || compopt -o nospace
        # For bash a colon ends a word.
        [[ $COMP_WORDBREAKS != *:* ]] || line=${line#\"${word%\"${word##*:}\"}\"}
        COMPREPLY+=(\"$line\")
    done < <(ipjob offers $only -- \"$word\" 2>/dev/null)
    return 0
}

";

/// Prints a completion script.
pub fn print_completions(shell: Shell) -> Outcome<u8> {
    print(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(&Cli::command()), "ipjob", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Fish => {
            let offers = |commands: &str, only: &str| {
                format!(
                    "complete -c ipjob -n \"__fish_seen_subcommand_from {commands}\" -a \"(command -q ipjob; and ipjob offers {only}-- (commandline -ct) 2>/dev/null)\"\n"
                )
            };
            NO_FILES.to_owned()
                + &script.replacen(LEAVES, STAYS, 1)
                + &offers(&WITH_JOBS.join(" "), "")
                + &offers(WITH_HOSTS, "--hosts ")
        }
        Shell::Zsh => {
            let script = OF_ZSH.iter().fold(script, |script, (theirs, ours)| {
                script.replace(theirs, ours)
            });
            script.replacen("_ipjob() {", &[ZSH, "_ipjob() {"].concat(), 1)
        }
        Shell::Bash => {
            let ours = BASH.replace("@JOBS@", &WITH_JOBS.join(" | "));
            ours + &script.replacen("_ipjob() {", "_ipjob_words() {", 1)
        }
        _ => script,
    }
}

/// The command as shells offer it: without what is hidden, which clap's scripts would offer, and without what follows `--`, of which its
/// script for zsh takes every subcommand.
fn offered(command: &Command) -> Command {
    let is_offered =
        |arg: &&Arg| !(arg.is_hide_set() || arg.is_last_set() && command.has_subcommands());
    let arguments = command.get_arguments().filter(is_offered).cloned();
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    // clap wants names that stay; these do until the program has printed them.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut offered = Command::new(name)
        .args(arguments.map(|arg| without_files(name, arg)))
        .subcommands(commands.map(self::offered))
        .disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        offered = offered.about(about.clone());
    }
    match command.get_version() {
        Some(_) => offered.version(env!("CARGO_PKG_VERSION")),
        None => offered,
    }
}

/// A number, a name or a time is no file; what is one says so by its type, or by a hint.
fn without_files(command: &str, arg: Arg) -> Arg {
    match arg.get_value_hint() {
        _ if arg.get_id() == "target" && WITH_JOBS.contains(&command) => {
            arg.value_hint(ValueHint::Hostname)
        }
        _ if arg.get_id() == "target" && command == WITH_HOSTS => arg.value_hint(ValueHint::Url),
        ValueHint::Unknown if arg.get_action().takes_values() => arg.value_hint(ValueHint::Other),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_s_script_for_fish_is_as_it_was_when_it_was_mended() {
        let fish = script(Shell::Fish);
        assert_eq!(fish.matches(STAYS).count(), 1, "{fish}");
        assert!(!fish.contains(LEAVES));
    }
}
