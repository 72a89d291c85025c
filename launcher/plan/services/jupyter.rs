//! The Jupyter server.
//!
//! docs/design/jupyter.md explains the design.

use super::{Context, HANDED};
use crate::failure::{Failure, Outcome};
use crate::plan::environment::{self, STARTUP as STARTUP_NAME};
use crate::plan::name::Name;
use crate::plan::service::{Asking, Carried, PortNeed, Process, Readiness, Service, Streams};

/// The program that runs a console script of Jupyter's: with a socket of ours, and without what only its start pays for.
const LEAN: &str = include_str!("../../jupyter/lean.py");

/// What closes it to other users, beside that program.
const CLOSED: &str = include_str!("../../jupyter/closed.py");

/// What an `IPython` in it begins with.
const STARTUP: &str = include_str!("../../jupyter/startup.py");

/// How it bounds what strangers can take.
const STRANGERS: &str = include_str!("../../jupyter/strangers.py");

/// Jupyter on the address that its users reach, on a port of our choice, with a token that stands in no argv.
pub fn jupyter(context: &Context, remarks: &mut Vec<String>) -> Outcome<Service> {
    let jupyter = context
        .here
        .jupyter
        .as_ref()
        .ok_or_else(|| Failure::missing("no Jupyter program was found"))?;
    let (class, root_dir) = if jupyter.classic {
        ("NotebookApp", "notebook_dir")
    } else {
        ("ServerApp", "root_dir")
    };
    // Every Jupyter writes the page that a browser is sent to (`*-open.html`), 0644 and with the token in it, and
    // `no_browser_open_file` is no setting that can be given to it. What protects the page is the private runtime directory
    // (0700), which nobody else can enter.
    let mut args = vec![
        format!("--{class}.ip={}", context.here.jupyter_address),
        // Jupyter would take the next port in silence; ipjob must know which one it is.
        format!("--{class}.port_retries=0"),
        format!("--{class}.open_browser=False"),
    ];
    if context.here.root {
        args.push("--allow-root".to_owned());
        remarks.push("running as root: --allow-root was added for Jupyter".to_owned());
    }
    args.extend(kernels(context, remarks));
    if let Some(dir) = &context.settings.root_dir {
        args.push(format!("--{class}.{root_dir}={}", dir.display()));
    }
    args.extend(context.settings.arguments.iter().cloned());
    let (program, mut carried) = match &jupyter.python {
        Some(python) => {
            let path = context.profile.jupyter_program();
            let programs = [&path, &jupyter.program].map(|path| path.display().to_string());
            args.splice(..0, programs);
            let carried = vec![
                context.module("handed", HANDED),
                context.module("closed", CLOSED),
                context.module("strangers", STRANGERS),
                Carried { path, text: LEAN },
            ];
            (python.clone(), carried)
        }
        None => (jupyter.program.clone(), Vec::new()),
    };
    carried.push(context.module(STARTUP_NAME, STARTUP));
    Ok(Service {
        name: Name::Jupyter,
        after: context.after(),
        processes: vec![Process {
            program,
            args,
            log: context.profile.log(Name::Jupyter, 0),
        }],
        carried,
        environment: environment::of(Name::Jupyter, context),
        streams: Streams::Log,
        port: Some(PortNeed::One {
            range: context.settings.port_range,
            argument: format!("--{class}.port="),
            handed: jupyter.python.is_some(),
        }),
        ready: Readiness::Jupyter,
        asking: Asking::Signal,
        start_limit: context.settings.start.of(Name::Jupyter),
        restart_limit: context.settings.start.again(Name::Jupyter),
        stop_limit: context.stop_limit(Name::Jupyter),
    })
}

/// How kernels are reached. By `jupyter_client`'s default they listen on TCP ports of the loopback address, where each user of this node can
/// hear code and output.
fn kernels(context: &Context, remarks: &mut Vec<String>) -> Vec<String> {
    let users = context
        .settings
        .arguments
        .iter()
        .find(|argument| argument.ends_with(".transport=tcp"));
    let why = match users {
        Some(argument) => format!("{argument} was given"),
        // `KernelManager` and its subclasses inherit the option of this class, and what a configuration sets for them goes before it, although
        // this stands in argv.
        None if context.profile.takes_sockets() => {
            return vec!["--ConnectionFileMixin.transport=ipc".to_owned()];
        }
        None => {
            "neither TMPDIR nor /tmp nor /dev/shm is a private place for their sockets".to_owned()
        }
    };
    remarks.push(format!(
        "kernels listen on TCP ports of this node ({why}): other users here can hear their code and output, unless jupyter_client is 8.10 or later and the kernel can encrypt"
    ));
    // The user's own, for `KernelManager`, goes before it. An older jupyter_client takes no notice.
    vec!["--ConnectionFileMixin.transport_encryption=auto".to_owned()]
}
