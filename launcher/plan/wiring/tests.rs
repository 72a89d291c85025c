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
    let of = |asked, args: &[String], config| start(asked, args, config).map(|(start, _)| start);
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
