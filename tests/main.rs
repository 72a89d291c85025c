//! The tests of the whole program: one module per question. They start real processes and wait for facts (a line, a
//! record's state, a process's end), never for time to pass.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, with what it expected, and says why it is skipped and what it measured"
)]

#[macro_use]
mod support;

mod broken_world;
mod chaos;
mod command_line;
mod compatibility;
mod connect;
mod detach;
mod docs;
mod doctor;
mod healing;
mod het;
mod hub;
mod lasting;
mod launchers;
mod lifecycle;
mod machine_limits;
mod ood;
mod outage;
mod package;
mod real;
mod remote;
mod requeue;
mod scale;
mod security;
mod slurm;
mod source_rules;
mod ssh;
mod templates;
mod trust;
mod unshared;
