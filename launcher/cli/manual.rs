//! What the manual says besides the options, once for `--help` and once for the man page; and the man pages.

use super::{Cli, print};
use crate::failure::{DRIVER_EXIT_CODE, EXIT_CODES, Failure, Outcome};
use crate::report::output;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// The sections: heading of `--help`, heading of the man page, lines.
fn sections() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let mut codes: Vec<String> = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("{code}  {meaning}"))
        .collect();
    codes.push(DRIVER_EXIT_CODE.to_owned());
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    vec![
        ("Exit codes", "EXIT STATUS", codes),
        (
            "Signals",
            "SIGNALS",
            lines(
                "TERM, INT, HUP  shut everything down cleanly; a second INT kills everything at once
HUP arrives when the terminal is closed; nohup or tmux keeps the job running",
            ),
        ),
        (
            "Variables",
            "ENVIRONMENT",
            lines(
                "every option has a variable; on/off options take 1/true/yes or 0/false/no
IPJOB_ENGINE_ARG, IPJOB_CONTROLLER_ARG and IPJOB_SRUN_ARG hold one argument each",
            ),
        ),
        (
            "Environment of kernels and drivers",
            "ENVIRONMENT OF KERNELS AND DRIVERS",
            lines(
                "IPJOB_CLIENT_PROFILE  the profile, for ipp.Client(profile=...)
IPYTHONDIR            the IPython directory that holds it",
            ),
        ),
        (
            "Files, in $IPYTHONDIR/profile_<PROFILE>",
            "FILES",
            lines(
                "ipjob.json      the record: state, host, port, token, engines (docs/connection-file.md)
log/            the output of every service
security/       the connection files, while the job runs",
            ),
        ),
        (
            "Examples",
            "EXAMPLES",
            lines(
                "ipjob --mode notebook -n 4
ipjob --mode notebook --frontend notebook -- --ServerApp.base_url=/me/
ipjob --mode cluster-only -n 8 -- python driver.py",
            ),
        ),
    ]
}

/// What follows the options in `--help`.
pub fn after_help() -> String {
    let sections = sections().into_iter().map(|(heading, _, lines)| {
        let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
        format!("{heading}:\n{}", lines.join("\n"))
    });
    sections.collect::<Vec<_>>().join("\n\n")
}

/// Prints the manual page of ipjob, or of one of its commands.
pub fn print_man(command: Option<&str>) -> Outcome<u8> {
    let page = match command {
        None => page(),
        Some(name) => page_of(&named(name)?),
    };
    print(&page.map_err(|error| output::cannot_print(&error))?)
}

/// The commands that have a page.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
}

/// A command, with the name that it has for a user.
fn named(name: &str) -> Outcome<Command> {
    let mut program = Cli::command();
    // Only a built program tells its commands the whole of their names.
    program.build();
    let found = commands(&program).find(|command| command.get_name() == name);
    found.cloned().ok_or_else(|| {
        let all: Vec<&str> = commands(&program).map(Command::get_name).collect();
        Failure::usage(format!("ipjob has no command {name:?}"))
            .hint(format!("its commands are {}", all.join(", ")))
    })
}

/// The sections that every page begins with.
fn up_to_options(man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    Ok(page)
}

/// The page of ipjob itself.
fn page() -> io::Result<Vec<u8>> {
    let program = Cli::command();
    let man = Man::new(program.clone());
    let mut page = up_to_options(&man)?;
    let mut roff = Roff::default();
    roff.control("SH", ["COMMANDS"]);
    for command in commands(&program) {
        roff.control("TP", []);
        roff.text([bold(format!("ipjob-{}(1)", command.get_name()))]);
        let about = command.get_about().map(ToString::to_string);
        roff.text([roman(about.unwrap_or_default())]);
    }
    for (_, heading, lines) in sections() {
        roff.control("SH", [heading]);
        // Lines as they are: tables and commands.
        roff.control("nf", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The page of one command.
fn page_of(command: &Command) -> io::Result<Vec<u8>> {
    let source = concat!("ipjob ", env!("CARGO_PKG_VERSION"));
    let mut page = up_to_options(&Man::new(command.clone()).source(source))?;
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("ipjob(1)")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}
