//! Services that run and lack something.

use super::lasting::{SWEPT, hear, job, said};
use super::*;

fn lacks(service: Name, what: &str) -> Event {
    Event::Lacks {
        service,
        what: what.to_owned(),
    }
}

fn hindered(what: &str) -> Event {
    Event::Hindered {
        service: Name::Jupyter,
        what: what.to_owned(),
    }
}

fn unhindered(detail: &str) -> Event {
    Event::Unhindered {
        service: Name::Jupyter,
        detail: detail.to_owned(),
    }
}

fn ready() -> Event {
    Event::Ready {
        service: Name::Jupyter,
        detail: String::new(),
    }
}

#[test]
fn a_ready_service_that_lacks_something_degrades_the_job_until_it_is_ready_again() {
    let mut world = job(Name::Jupyter);
    assert_eq!(world.machine.state(), State::Ready);
    let effects = hear(&mut world, [hindered("8 of 8 descriptors in use")]);
    let told = "jupyter: 8 of 8 descriptors in use; the job is degraded until that is over";
    assert_eq!(said(&effects), [told]);
    assert_eq!(world.machine.state(), State::Degraded);
    let what = world.machine.hindered(Name::Jupyter);
    assert_eq!(what, Some("8 of 8 descriptors in use"));
    let over = || unhindered("(2 of 8)");
    let effects = hear(&mut world, [ready(), over(), over()]);
    assert_eq!(said(&effects), ["jupyter ready again (2 of 8)"]);
    assert_eq!(world.machine.state(), State::Ready);
    assert!(world.machine.hindered(Name::Jupyter).is_none());
}

#[test]
fn what_a_service_lacked_before_it_was_ready_or_ended_does_not_stay() {
    let mut world = job(Name::Jupyter);
    let _ = hear(
        &mut world,
        [
            hindered("8 of 8 descriptors in use"),
            exited(process(Name::Jupyter, 0), Exit::Code(1), &[]),
            SWEPT(Name::Jupyter),
        ],
    );
    assert!(world.machine.hindered(Name::Jupyter).is_none());
    let late = [
        lacks(Name::Jupyter, "GET is not answered"),
        hindered("8 of 8 descriptors in use"),
        unhindered("(what was short has ended)"),
    ];
    let effects = hear(&mut world, late);
    assert!(said(&effects).is_empty(), "it starts");
    assert_ne!(world.machine.state(), State::Ready, "of the one before");
    let _ = hear(&mut world, [ready()]);
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn what_a_probe_of_the_start_misses_later_hinders_nothing() {
    let mut world = job(Name::Jupyter);
    for service in [Name::Controller, Name::Engines, Name::Jupyter] {
        let effects = hear(&mut world, [lacks(service, "nothing was heard of rank 3")]);
        assert!(effects.is_empty(), "{effects:?}");
        assert!(world.machine.hindered(service).is_none());
    }
    assert_eq!(world.machine.state(), State::Ready);
}
