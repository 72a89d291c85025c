//! `ipjob` turns an allocation into a ready ipyparallel cluster with a Jupyter server beside it, keeps watch over it, tells
//! people and programs how to reach it, and takes it down in order.
//!
//! The map of the code; each part uses only those above it:
//! - `failure`: what went wrong, and the one table of exit codes
//! - `plan`: what will be started, as data; pure
//! - `record`: the file that tells programs how to reach a job and how it is, one type for who writes and who reads; pure
//! - `here`: this machine's programs, directories, ports, processes and limits
//! - `report`: what others see: console lines, the record, the plan as text
//! - `supervisor`: the loop that starts, watches and ends; its machine is pure
//! - `engine`: what every task of a Slurm step runs through
//! - `cli`: flags and subcommands; their doc comments are the manual
//! - `run`: the main command, from options to exit code
//! - `doctor`: what would go wrong here, found by looking and by small steps
//! - `remote`: jobs seen from a laptop or a login node, over the ssh program

mod cli;
mod doctor;
mod engine;
pub mod failure;
mod here;
mod plan;
mod record;
mod remote;
mod report;
mod run;
mod supervisor;

use cli::Command;
use report::console::Console;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the program: reads the command line, does what it says, tells what went wrong, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut console = Console::new(started, cli.verbosity());
    let outcome = match cli.command {
        Some(Command::Template(options)) => cli::print_template(&options),
        Some(Command::Completions { shell }) => cli::print_completions(shell),
        Some(Command::Offers { hosts, word }) => remote::offers::run(&word, hosts),
        Some(Command::Man { command }) => cli::print_man(command.as_deref()),
        Some(Command::Up(options)) => remote::connect::up::run(&options, &mut console),
        Some(Command::Connect(options)) => remote::connect::run(&options, &mut console),
        Some(Command::Ssh(options)) => remote::inside::run(&options),
        Some(Command::Doctor(options)) => doctor::run(&options),
        Some(Command::Status(options)) => remote::status::run(&options),
        Some(Command::Stop(options)) => remote::stop::run(&options, &console),
        Some(Command::Wait(options)) => remote::wait::run(&options, &console),
        Some(Command::Restart(options)) => remote::restart::run(&options, &console),
        Some(Command::Clean(options)) => remote::clean::run(&options, &console),
        Some(Command::Relay { targets }) => remote::relay::far_end(&targets),
        Some(Command::Sshd { record, key }) => remote::inside::sshd::serve(&record, &key),
        Some(Command::Session { record, step }) => {
            remote::inside::session::run(&record, step, &console)
        }
        Some(Command::Probe { target, marker }) => doctor::probe(target, &marker),
        Some(Command::Engine {
            fork,
            idle_limit,
            again,
            threads,
            bind,
            alone_without_nanny,
            command,
        }) => engine::run(
            fork.as_deref().map(|python| engine::Forking {
                python,
                alone_without_nanny,
            }),
            idle_limit,
            again.as_ref(),
            engine::Rules { threads, bind },
            &command,
        ),
        Some(Command::Become { name }) => run::become_it(&name),
        Some(Command::Rest {
            idle_limit,
            node,
            task,
        }) => Ok(engine::idle_watch::run(idle_limit, &node, task)),
        None => {
            console.watched();
            run::run(&cli.run, &mut console)
        }
    };
    console.still();
    let code = match outcome {
        Ok(code) => code,
        Err(failure) => {
            console.failure(&failure);
            failure.exit_code()
        }
    };
    console.finish();
    ExitCode::from(code)
}
