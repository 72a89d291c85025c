//! A controller whose port is taken: it lives on, engines register, and every call on that channel hangs. It must be found.

use crate::support::{Job, Place, venv, wait_for};
use std::net::{Ipv4Addr, TcpListener};

/// ipcontroller takes 18 ports; with one of them taken it still finds the range long enough.
const PORTS: u16 = 20;

/// The place of the client's mux port in the order in which ipcontroller takes them: registration, eight of the engines,
/// the client's control, mux.
const CLIENT_MUX: u16 = 10;

#[test]
fn a_taken_port_of_the_controllers_is_named_with_its_holder() {
    let Some(venv) = venv("main") else { return };
    let place = Place::with_venv(&venv);
    let first = free_range();
    let port = first + CLIENT_MUX;
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
    let range = format!("{first}-{}", first + PORTS - 1);
    let mut job = Job::start(
        &place,
        &[
            "--mode",
            "cluster-only",
            "-n",
            "1",
            "--controller-ports",
            &range,
        ],
    );
    let (code, transcript) = job.finish();
    assert_eq!(code, 3, "{transcript}");
    let cause = format!(
        "error: the controller's client mux port {port} is held by pid {}",
        std::process::id()
    );
    assert!(transcript.contains(&cause), "{transcript}");
    job.assert_nothing_left();
}

/// The first of so many free ports below those that the kernel hands out.
fn free_range() -> u16 {
    let mut candidates = (20_000..32_000).step_by(usize::from(PORTS)).skip(
        // Two runs of this test at once look at different ones.
        (std::process::id() % 500) as usize,
    );
    wait_for("free ports", || {
        candidates.next().filter(|first| {
            (*first..first + PORTS)
                .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        })
    })
}
