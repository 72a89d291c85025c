//! The controller: hub, schedulers and heartmonitor of ipyparallel.
//!
//! docs/design/start.md explains the design.

use super::engine_command::without_nannies;
use super::{Context, HANDED, unforked, with_users};
use crate::plan::environment;
use crate::plan::heartbeat::{Heartbeat, Order};
use crate::plan::name::Name;
use crate::plan::service::{Asking, Carried, PortNeed, Process, Readiness, Service, Streams};
use crate::plan::wiring::Start;

/// What it and ipjob tell each other.
const MESSAGES: &str = include_str!("../../controller/messages.py");

/// The program that runs ipcontroller: with sockets of ours, and without the pauses of its start.
const EAGER: &str = include_str!("../../controller/eager.py");

/// How it ends connections of strangers that send much.
const HANDSHAKES: &str = include_str!("../../controller/handshakes.py");

/// `ipcontroller` on the address that its peers reach, with our key and a heartbeat that fits the number of engines, which are
/// `forked` or not.
#[must_use]
pub fn controller(context: &Context, forked: bool) -> Service {
    let patience = context.settings.start.whole.as_secs().max(1);
    let mut args = vec![
        context.profile_dir_argument(),
        context.cluster_id_argument(),
        format!("--ip={}", context.here.address),
        format!("--location={}", context.here.location),
        format!("--Session.keyfile={}", context.profile.key_file().display()),
    ];
    let port = match (context.start, context.settings.controller_ports) {
        (Start::Overlapped, range) => {
            // What it reads from the files comes too late for the address of its registration port.
            args.push(format!("--IPController.engine_ip={}", context.here.address));
            args.push(format!("--IPController.client_ip={}", context.here.address));
            args.push("--reuse".to_owned());
            Some(PortNeed::Wiring {
                range,
                handed: context.here.eager_python.is_some(),
            })
        }
        (Start::Sequential, Some(range)) => {
            args.push(format!("--ports={range}"));
            None
        }
        (Start::Sequential, None) => None,
    };
    let mut defaults = context.heartbeat.arguments();
    // The hub forgets an engine whose first heartbeat is not in by then (hub.py: "purging stalled registration"); the engine
    // itself never learns of it, so this must not be shorter than the start may take.
    defaults.push(format!("--IPController.registration_timeout={patience}"));
    args.extend(with_users(defaults, &context.settings.controller_args));
    let (program, carried) = match &context.here.eager_python {
        Some(python) => {
            args.splice(..0, eager(context, forked));
            let carried = Carried {
                path: context.profile.controller_program(),
                text: EAGER,
            };
            (
                python.clone(),
                vec![
                    context.module("handed", HANDED),
                    context.module("handshakes", HANDSHAKES),
                    context.module("messages", MESSAGES),
                    carried,
                ],
            )
        }
        None => (context.here.ipcontroller.clone(), Vec::new()),
    };
    Service {
        name: Name::Controller,
        after: Vec::new(),
        processes: vec![Process {
            program,
            args,
            log: context.profile.log(Name::Controller, 0),
        }],
        carried,
        environment: environment::of(Name::Controller, context),
        streams: Streams::Log,
        port,
        ready: Readiness::Controller,
        asking: Asking::Signal,
        start_limit: context.settings.start.of(Name::Controller),
        restart_limit: context.settings.start.again(Name::Controller),
        stop_limit: context.stop_limit(Name::Controller),
    }
}

/// To how many engines ipjob sends the signals that clients send, from the start of the controller on.
fn signals(context: &Context, forked: bool) -> Option<u32> {
    if context.signals_ours && without_nannies(context, forked) {
        return Some(context.engines);
    }
    unforked::needs_our_signals(context).then_some(0)
}

/// The arguments of that program before ipcontroller's own.
fn eager(context: &Context, forked: bool) -> Vec<String> {
    let order = Order {
        beat_ms: context.heartbeat.eager_ms.unwrap_or_default(),
        engines: context.engines,
        signals: signals(context, forked),
        patience_s: context.settings.start.whole.as_secs().max(1),
        other: Heartbeat::of(context.engines, false).arguments(),
    };
    vec![
        context.profile.controller_program().display().to_string(),
        // Numbers and plain words: it is always text.
        serde_json::to_string(&order).unwrap_or_default(),
        context.here.ipcontroller.display().to_string(),
    ]
}

/// The arguments of an `ipcontroller` that takes the place of one that died: it reads the wiring from the connection files and
/// the engines from the hub's list. It would take its own internal ports from the first of `--ports`, which are
/// the files' own; those that it finds by itself are on the loopback address, where no firewall stands.
#[must_use]
pub fn controller_again(args: &[String]) -> Vec<String> {
    let restored = ["--reuse", "--restore"];
    args.iter()
        .filter(|arg| !arg.starts_with("--ports=") && !restored.contains(&arg.as_str()))
        .cloned()
        .chain(restored.map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::controller_again;

    #[test]
    fn a_controller_again_reads_its_wiring_and_takes_no_port_of_it() {
        let args = ["--ip=10.0.0.1", "--ports=7000-7017", "--nodb"].map(str::to_owned);
        assert_eq!(
            controller_again(&args),
            ["--ip=10.0.0.1", "--nodb", "--reuse", "--restore"]
        );
        assert_eq!(
            controller_again(&controller_again(&args)),
            controller_again(&args)
        );
    }
}
