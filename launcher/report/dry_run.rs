//! The plan as `--dry-run` prints it: every argv, change of environment and file, with secrets left out.

use super::output;
use crate::failure::Outcome;
use crate::plan::Plan;
use crate::plan::bind::Rule;
use crate::plan::name::Name;
use crate::plan::service::{Environment, PortNeed, Process, Readiness, Service, Streams};
use crate::plan::services::OnReady;
use crate::plan::settings::{Bind, Launcher, Respawn};
use std::fmt::Write as _;

/// Prints the plan to stdout.
pub fn print(plan: &Plan) -> Outcome<()> {
    output::data(text(plan).as_bytes())
}

/// The plan as text.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let profile = &plan.profile;
    let _ = writeln!(
        out,
        "mode         {}\nstart        {}\nlauncher     {}\nengines      {} (at least {})\nengine start {}\npreload      {}\nthreads      {}\nprofile      {}\ndirectory    {}\nipyparallel  {}",
        plan.settings.mode,
        plan.start,
        plan.launcher,
        plan.engines,
        plan.minimum,
        plan.creation,
        plan.settings.preload,
        plan.shares.threads,
        profile.name,
        profile.dir.display(),
        plan.ipyparallel
    );
    let _ = writeln!(
        out,
        "start limit  {}\nstop limit   {}",
        seconds(plan.settings.start.whole),
        seconds(plan.settings.stop)
    );
    if let Some(what) = binding(plan) {
        let _ = writeln!(out, "bind         {what}");
    }
    course(plan, &mut out);
    for remark in plan.remarks.iter().chain(&plan.warnings) {
        let _ = writeln!(out, "remark       {remark}");
    }
    let _ = writeln!(out, "\nfiles");
    let mut files = vec![
        ("record", profile.record()),
        ("lock", profile.lock()),
        ("client file", profile.client_file()),
        ("engine file", profile.engine_file()),
        ("key", profile.key_file()),
        ("engine list", profile.engines_list()),
        ("logs", profile.log_dir()),
    ];
    if let Some(copy) = &plan.settings.record {
        files.insert(1, ("record copy", copy.clone()));
    }
    for (name, path) in files {
        let _ = writeln!(out, "    {name:<12} {}", path.display());
    }
    for service in &plan.services {
        let shares: Vec<String> = match service.name {
            Name::Engines => plan
                .shares
                .own
                .iter()
                .map(|own| own.share.to_string())
                .collect(),
            _ => Vec::new(),
        };
        let fork = plan.fork.as_ref();
        let fork = fork.filter(|_| service.name == Name::Engines);
        describe(service, &shares, fork, &mut out);
    }
    if let Some(OnReady {
        process,
        environment: changes,
    }) = &plan.on_ready
    {
        let _ = writeln!(out, "\non ready\n    runs once when the job is ready");
        environment(changes, &mut out);
        let _ = writeln!(
            out,
            "    run   {}\n    log   {}",
            argv(process),
            process.log.display()
        );
    }
    out
}

/// What is said of how long it runs, and what happens meanwhile, where anything is.
fn course(plan: &Plan, out: &mut String) {
    let settings = &plan.settings;
    let respawn = match plan.respawn {
        Respawn::Off => "off: engines that end stay lost",
        Respawn::Engine => "engine: each that ends is restarted",
        Respawn::Set => "set: all are restarted when one ends",
    };
    let _ = writeln!(out, "respawn      {respawn}");
    if settings.detach {
        let _ = writeln!(out, "detach       the job is left running once it is ready");
    }
    if let Some(followed) = &settings.follow {
        let _ = writeln!(out, "follow       the job ends with process {followed}");
    }
    if let Some(limit) = settings.idle {
        let _ = writeln!(out, "idle limit   {} without use", seconds(limit));
    }
}

/// What engines are bound to; `None` where nobody binds any.
fn binding(plan: &Plan) -> Option<String> {
    let what = match (plan.shares.bind, plan.settings.bind) {
        (Some(Rule::Gpu), _) => "each engine to its own GPU and to CPUs near it",
        (Some(Rule::OwnGpus), _) => "each engine to the GPUs and CPUs that Slurm gives to its task",
        (Some(Rule::Cpu), _) => "each engine to CPUs of its own",
        (None, Bind::None) => "nothing",
        // Its job may have bound all of them together.
        (None, _) if plan.launcher == Launcher::Local => return None,
        (None, _) if plan.allocation.slurm.is_none() => return None,
        (None, _) => "what Slurm binds engines to",
    };
    let found_there = plan.shares.bind.is_some() && plan.shares.own.len() < plan.engines as usize;
    Some(if found_there {
        format!("{what}, found on its node")
    } else {
        what.to_owned()
    })
}

/// A service; what forks its processes stands in their place.
fn describe(service: &Service, shares: &[String], fork: Option<&Process>, out: &mut String) {
    let after = service
        .after
        .iter()
        .map(|name| name.word())
        .collect::<Vec<_>>()
        .join(", ");
    let after = if after.is_empty() {
        String::from("starts at once")
    } else {
        format!("starts after {after}")
    };
    let ready = match service.ready {
        Readiness::Controller => {
            "both connection files are complete and ours, and its own processes have taken every port".to_owned()
        }
        Readiness::Engines { expected, minimum, .. } => {
            format!("the hub's engine list has {expected} engines (at least {minimum} at the timeout)")
        }
        Readiness::Jupyter => "GET api/status answers 200 to our token".to_owned(),
        Readiness::Started => "it runs".to_owned(),
    };
    let _ = writeln!(
        out,
        "\n{}\n    {after}\n    ready when {ready}, within {}\n    stopped within {}",
        service.name,
        seconds(service.start_limit),
        seconds(service.stop_limit)
    );
    environment(&service.environment, out);
    if let Some(process) = fork {
        let _ = writeln!(
            out,
            "    fork  {}, which becomes all of them\n    log   {}",
            argv(process),
            process.log.display()
        );
    }
    for (index, process) in service.processes.iter().enumerate() {
        if let Some(share) = shares.get(index).filter(|share| !share.is_empty()) {
            let _ = writeln!(out, "    bind  {share}");
        }
        if fork.is_none() {
            let line = argv(process) + &port(service.port.as_ref());
            let _ = writeln!(out, "    run   {line}");
        }
        if service.streams == Streams::Log {
            let _ = writeln!(out, "    log   {}", process.log.display());
        }
    }
}

/// The argument that is known when the service starts.
fn port(need: Option<&PortNeed>) -> String {
    match need {
        Some(PortNeed::One {
            range, argument, ..
        }) if range.is_one() => format!(" {argument}{range}"),
        Some(PortNeed::One {
            range, argument, ..
        }) => format!(" {argument}<a free port of {range}>"),
        Some(PortNeed::Wiring { range, .. }) => {
            let range = range.map_or_else(String::new, |range| format!(" of {range}"));
            format!(" --ports=<three free ports{range}; the others are in the connection files>")
        }
        None => String::new(),
    }
}

fn environment(environment: &Environment, out: &mut String) {
    for (variable, text) in &environment.set {
        let _ = writeln!(out, "    set   {variable}={text}");
    }
    for (variable, file) in &environment.from_files {
        let _ = writeln!(out, "    set   {variable}=<what {} has>", file.display());
    }
    for variable in &environment.dropped {
        let _ = writeln!(out, "    drop  {variable}");
    }
}

/// A command line that can be pasted into a shell.
#[must_use]
pub fn argv(process: &Process) -> String {
    std::iter::once(process.program.display().to_string())
        .chain(process.args.iter().cloned())
        .map(|word| quoted(&word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word as a shell takes it for that word.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn seconds(duration: core::time::Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod fuzz {
    use super::quoted;
    use proptest::prelude::*;

    /// What a shell makes of one word that has only single quotes and backslashes outside of them.
    fn unquoted(text: &str) -> Option<String> {
        let mut word = String::new();
        let mut chars = text.chars();
        let mut inside = false;
        while let Some(char) = chars.next() {
            match char {
                '\'' => inside = !inside,
                '\\' if !inside => word.push(chars.next()?),
                other if inside => word.push(other),
                other if other.is_ascii_alphanumeric() || "-_=./:,@%+".contains(other) => {
                    word.push(other);
                }
                _ => return None,
            }
        }
        (!inside).then_some(word)
    }

    proptest! {
        #[test]
        fn a_shell_takes_every_word_as_it_was(word in "(?s).{0,20}|['\\\\\"$` \n;&|a]{0,12}") {
            let text = quoted(&word);
            prop_assert!(!text.is_empty());
            prop_assert_eq!(unquoted(&text), Some(word));
        }
    }
}
