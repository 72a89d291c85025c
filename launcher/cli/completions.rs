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

/// Prints a completion script.
pub fn print_completions(shell: Shell) -> Outcome<u8> {
    print(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(&Cli::command()), "ipjob", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Fish => NO_FILES.to_owned() + &script.replacen(LEAVES, STAYS, 1),
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
        .args(arguments.map(without_files))
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
fn without_files(arg: Arg) -> Arg {
    match arg.get_value_hint() {
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
