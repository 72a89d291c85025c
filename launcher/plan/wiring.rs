//! The wiring that ipjob makes itself, so that controller, engines and Jupyter start at once: the ports of a controller, each
//! on its address, and the two connection files that tell of them. PURE: the ports were taken elsewhere.
//!
//! With `--reuse` ipcontroller takes both files as they are (app.py, `load_config_from_json`) and draws only its internal
//! ports from `--ports`. The addresses stand in its argv as well: what it reads from the files comes too late for the
//! address that the registration port is bound on.

use super::connection::Keys;
use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use core::fmt;
use core::net::Ipv4Addr;
use serde_json::{Value, json};

/// The ports of a controller of ipyparallel 7 to 9 with its one level of broadcast schedulers.
pub const PORTS: usize = 18;

/// Ports of them that stand in the files; the others are internal.
const LISTED: usize = 15;

/// How the start goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// Controller, engines and Jupyter at once
    Overlapped,
    /// The controller first
    Sequential,
}

impl fmt::Display for Start {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Overlapped => "overlapped",
            Self::Sequential => "sequential",
        })
    }
}

/// How the start goes, and what a person reads of it: overlapped, unless the controller has a wiring of its own. `config` is
/// the setting that makes it so, with its file.
pub fn start(
    asked: Option<Start>,
    controller_args: &[String],
    config: Option<&str>,
) -> Outcome<(Start, Option<String>)> {
    let own = shaping_argument(controller_args)
        .map(|arg| format!("{arg} in --controller-arg"))
        .or_else(|| config.map(str::to_owned));
    match (asked, own) {
        (Some(Start::Overlapped), Some(own)) => Err(Failure::usage(format!(
            "--start overlapped does not work with {own}: it changes the wiring, which ipjob would make itself"
        ))
        .hint("leave one of them out; --start sequential leaves the wiring to ipcontroller")),
        (None, Some(own)) => Ok((
            Start::Sequential,
            Some(format!(
                "the controller starts before everything else, because ipjob cannot prepare its wiring: {own}"
            )),
        )),
        (Some(start), _) => Ok((start, None)),
        (None, None) => Ok((Start::Overlapped, None)),
    }
}

/// The ports of one controller, in the order in which it would take them from a range itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    address: Ipv4Addr,
    location: String,
    numbers: [u16; PORTS],
}

impl Ports {
    /// Where each port is bound when the controller's address is `address`: two internal ones are always on loopback.
    #[must_use]
    pub fn addresses(address: Ipv4Addr) -> [Ipv4Addr; PORTS] {
        let mut all = [address; PORTS];
        all[LISTED] = Ipv4Addr::LOCALHOST;
        all[LISTED + 1] = Ipv4Addr::LOCALHOST;
        all
    }

    /// These ports, in the order of [`Ports::addresses`]; clients look for them at `location`.
    #[must_use]
    pub fn new(address: Ipv4Addr, location: &str, numbers: [u16; PORTS]) -> Self {
        Self {
            address,
            location: location.to_owned(),
            numbers,
        }
    }

    /// The internal ones as `--ports` takes them: two broadcast schedulers and the monitor.
    #[must_use]
    pub fn internal(&self) -> String {
        let words: Vec<String> = self.numbers[LISTED..].iter().map(u16::to_string).collect();
        words.join(",")
    }

    /// The text of the engines' connection file.
    #[must_use]
    pub fn engine_file(&self, keys: Keys) -> String {
        let port = &self.numbers;
        self.file(
            keys,
            &json!({
                "registration": port[0],
                "control": port[1],
                "mux": port[2],
                "task": port[3],
                "iopub": port[4],
                "hb_ping": port[5],
                "hb_pong": port[6],
                "broadcast": port[7..9],
            }),
        )
    }

    /// The text of the clients' connection file.
    #[must_use]
    pub fn client_file(&self, keys: Keys) -> String {
        let port = &self.numbers;
        self.file(
            keys,
            &json!({
                "registration": port[0],
                "control": port[9],
                "mux": port[10],
                "task": port[11],
                "task_scheme": "leastload",
                "iopub": port[12],
                "notification": port[13],
                "broadcast": port[14],
            }),
        )
    }

    /// What both files say, and the ports of one.
    fn file(&self, keys: Keys, ports: &Value) -> String {
        let mut file = json!({
            "ssh": "",
            "interface": format!("tcp://{}", self.address),
            "location": self.location,
            "key": keys.signing,
            "curve_serverkey": keys.server,
            "pack": "json",
            "unpack": "json",
            "signature_scheme": "hmac-sha256",
        });
        if let (Some(file), Some(ports)) = (file.as_object_mut(), ports.as_object()) {
            file.extend(ports.clone());
        }
        format!("{file:#}\n")
    }
}

/// Options of ipcontroller that shape the wiring in a way that only it knows, without their class.
const SHAPING: &[&str] = &[
    "broadcast_scheduler_depth",
    "client_ports",
    "client_transport",
    "control",
    "curve_publickey",
    "curve_secretkey",
    "enable_curve",
    "engine_ports",
    "engine_ssh_server",
    "engine_transport",
    "hb",
    "iopub",
    "mon_port",
    "monitor_ip",
    "monitor_transport",
    "mux",
    "notifier_port",
    "packer",
    "ports",
    "regport",
    "scheme_name",
    "signature_scheme",
    "ssh_server",
    "task",
    "transport",
    "unpacker",
];

/// The same as ipcontroller's short options; `config` names a file that may say anything.
const SHORT: &[&str] = &["config", "enginessh", "port", "scheme", "ssh", "transport"];

/// Classes whose options are meant; the same name in another class is another option.
const CLASSES: &[&str] = &[
    "HubFactory",
    "IPController",
    "IPControllerApp",
    "Session",
    "TaskScheduler",
];

/// The first of ipcontroller's arguments that shapes the wiring.
#[must_use]
pub fn shaping_argument(args: &[String]) -> Option<&str> {
    args.iter().find_map(|arg| {
        let given = arg.strip_prefix("--")?;
        let name = given.split('=').next().unwrap_or(given);
        let shapes = match name.split_once('.') {
            Some((class, bare)) => CLASSES.contains(&class) && SHAPING.contains(&bare),
            None => SHORT.contains(&name),
        };
        shapes.then(|| &arg[..name.len() + 2])
    })
}

/// The first setting of a configuration file in Python that shapes the wiring: `IPController.engine_ports`.
#[must_use]
pub fn shaping_setting(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .collect();
            words.windows(2).find_map(|pair| {
                (CLASSES.contains(&pair[0]) && SHAPING.contains(&pair[1]))
                    .then(|| format!("{}.{}", pair[0], pair[1]))
            })
        })
}

/// The same of a configuration file in JSON.
#[must_use]
pub fn shaping_json(text: &str) -> Option<String> {
    let config: Value = serde_json::from_str(text).ok()?;
    CLASSES.iter().find_map(|class| {
        let settings = config.get(class)?.as_object()?;
        let name = settings
            .keys()
            .find(|name| SHAPING.contains(&name.as_str()))?;
        Some(format!("{class}.{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::connection;
    use std::collections::BTreeSet;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

    fn keys(signing: &str) -> Keys<'_> {
        Keys {
            signing,
            server: Some("public"),
        }
    }

    fn ports() -> Ports {
        Ports::new(
            ADDRESS,
            "here",
            core::array::from_fn(|index| 4001 + u16::try_from(index).expect("small")),
        )
    }

    #[test]
    fn both_files_are_read_back_as_the_wiring_with_every_listed_port_once() {
        let wiring = connection::read(
            &ports().client_file(keys("secret")),
            &ports().engine_file(keys("secret")),
            keys("secret"),
        )
        .expect("complete");
        assert_eq!(wiring.address, "10.9.0.1");
        let listed: Vec<u16> = wiring.endpoints.iter().map(|end| end.port).collect();
        let distinct: BTreeSet<u16> = listed.iter().copied().collect();
        assert_eq!(listed.len(), LISTED);
        assert_eq!(distinct, (4001..=4015).collect());
        assert_eq!(ports().internal(), "4016,4017,4018");
    }

    #[test]
    fn the_files_have_every_field_that_ipcontroller_writes() {
        let fields = |text: &str| -> Vec<String> {
            let value: Value = serde_json::from_str(text).expect("JSON");
            value.as_object().expect("fields").keys().cloned().collect()
        };
        let both = "curve_serverkey interface key location pack signature_scheme ssh unpack";
        let of = |own: &str| {
            let mut all: Vec<String> = both
                .split(' ')
                .chain(own.split(' '))
                .map(str::to_owned)
                .collect();
            all.sort();
            all
        };
        let mut client = fields(&ports().client_file(keys("k")));
        client.sort();
        assert_eq!(
            client,
            of("broadcast control iopub mux notification registration task task_scheme")
        );
        let mut engine = fields(&ports().engine_file(keys("k")));
        engine.sort();
        assert_eq!(
            engine,
            of("broadcast control hb_ping hb_pong iopub mux registration task")
        );
    }

    #[test]
    fn internal_ports_of_the_broadcast_schedulers_are_bound_on_loopback() {
        let addresses = Ports::addresses(ADDRESS);
        let loopback: Vec<usize> = (0..PORTS)
            .filter(|index| addresses[*index].is_loopback())
            .collect();
        assert_eq!(loopback, [15, 16]);
    }

    #[test]
    fn arguments_that_shape_the_wiring_are_told_from_the_others() {
        let shaping = |arg: &str| shaping_argument(&[arg.to_owned()]).map(str::to_owned);
        for (arg, name) in [
            (
                "--IPController.engine_ports=1-9",
                "--IPController.engine_ports",
            ),
            (
                "--IPController.enable_curve=True",
                "--IPController.enable_curve",
            ),
            ("--HubFactory.hb=1,2", "--HubFactory.hb"),
            ("--ssh=me@there", "--ssh"),
            ("--Session.packer=pickle", "--Session.packer"),
            ("--config=mine.py", "--config"),
        ] {
            assert_eq!(shaping(arg).as_deref(), Some(name));
        }
        for other in [
            "--nodb",
            "--HeartMonitor.period=1000",
            "--ZMQInteractiveShell.task=1",
            "--Session.username=me",
            "ssh",
        ] {
            assert_eq!(shaping(other), None, "{other}");
        }
    }

    #[test]
    fn a_controller_with_a_wiring_of_its_own_starts_first_unless_that_was_excluded() {
        let own = ["--ssh=me@there".to_owned()];
        let config = Some("IPController.engine_ports in /a/ipcontroller_config.py");
        let of =
            |asked, args: &[String], config| start(asked, args, config).map(|(start, _)| start);
        assert_eq!(of(None, &[], None), Ok(Start::Overlapped));
        assert_eq!(of(None, &own, None), Ok(Start::Sequential));
        assert_eq!(of(None, &[], config), Ok(Start::Sequential));
        assert_eq!(
            of(Some(Start::Sequential), &own, None),
            Ok(Start::Sequential)
        );
        let refused = of(Some(Start::Overlapped), &own, None).expect_err("both");
        assert!(
            refused.message.contains("--ssh in --controller-arg"),
            "{refused}"
        );
        let told = start(None, &[], config).expect("it goes").1;
        assert!(told.is_some_and(|text| text.contains("/a/ipcontroller_config.py")));
    }

    #[test]
    fn settings_that_shape_the_wiring_are_found_in_both_kinds_of_files() {
        let text = "c = get_config()\n# c.IPController.ports = []\n c.HeartMonitor.period = 5\nc.IPController.engine_ports = '1-20'\n";
        assert_eq!(
            shaping_setting(text).as_deref(),
            Some("IPController.engine_ports")
        );
        assert_eq!(shaping_setting("# c.IPController.ports = []\n"), None);
        let json = r#"{"HeartMonitor": {"period": 5}, "IPController": {"enable_curve": true}}"#;
        assert_eq!(
            shaping_json(json).as_deref(),
            Some("IPController.enable_curve")
        );
        assert_eq!(shaping_json("{"), None);
    }
}
