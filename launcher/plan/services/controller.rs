//! The controller: hub, schedulers and heartmonitor of ipyparallel.

use super::{Context, with_users};
use crate::plan::service::{Asking, Name, PortNeed, Process, Readiness, Service, Streams};
use crate::plan::wiring::Start;
use crate::plan::{environment, heartbeat};

/// `ipcontroller` on the address that its peers reach, with our key and a heartbeat that fits the number of engines.
#[must_use]
pub fn controller(context: &Context) -> Service {
    let period = heartbeat::period_ms(context.engines);
    let patience = context.settings.start.whole.as_secs().max(1);
    let mut args = vec![
        context.profile_dir_argument(),
        format!("--ip={}", context.here.address),
        // Where the peers find it; without it ipcontroller writes the host name, which they would have to resolve.
        format!("--location={}", context.here.address),
        format!("--Session.keyfile={}", context.profile.key_file().display()),
    ];
    let port = match (context.start, context.settings.controller_ports) {
        (Start::Overlapped, range) => {
            // What it reads from the files comes too late for the address of its registration port.
            args.push(format!("--IPController.engine_ip={}", context.here.address));
            args.push(format!("--IPController.client_ip={}", context.here.address));
            args.push("--reuse".to_owned());
            Some(PortNeed::Wiring { range })
        }
        (Start::Sequential, Some(range)) => {
            args.push(format!("--ports={range}"));
            None
        }
        (Start::Sequential, None) => None,
    };
    let defaults = vec![
        format!("--HeartMonitor.period={period}"),
        format!(
            "--HeartMonitor.max_heartmonitor_misses={}",
            heartbeat::misses(period)
        ),
        // The hub forgets an engine whose first heartbeat is not in by then (hub.py: "purging stalled registration"); the
        // engine itself never learns of it, so this must not be shorter than the start may take.
        format!("--IPController.registration_timeout={patience}"),
    ];
    args.extend(context.cluster_id_argument());
    args.extend(with_users(defaults, &context.settings.controller_args));
    Service {
        name: Name::Controller,
        after: Vec::new(),
        processes: vec![Process {
            program: context.here.ipcontroller.clone(),
            args,
            log: context.profile.log(Name::Controller, 0),
        }],
        environment: environment::of(Name::Controller, context),
        streams: Streams::Log,
        port,
        ready: Readiness::Controller,
        asking: Asking::Signal,
        start_limit: context.settings.start.of(Name::Controller),
        stop_limit: context.stop_limit(Name::Controller),
    }
}
