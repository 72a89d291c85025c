//! Services that run and lack something.

use super::lasting::{SWEPT, hear, job, said};
use super::*;

fn lacks(what: &str) -> Event {
    Event::Lacks {
        service: Name::Jupyter,
        what: what.to_owned(),
    }
}

fn ready(detail: &str) -> Event {
    Event::Ready {
        service: Name::Jupyter,
        detail: detail.to_owned(),
    }
}

#[test]
fn a_ready_service_that_lacks_something_degrades_the_job_until_it_is_ready_again() {
    let mut world = job(Name::Jupyter);
    assert_eq!(world.machine.state(), State::Ready);
    let effects = hear(&mut world, [lacks("8 of 8 descriptors in use")]);
    let told = "jupyter: 8 of 8 descriptors in use; the job is degraded until that is over";
    assert_eq!(said(&effects), [told]);
    assert_eq!(world.machine.state(), State::Degraded);
    let hindered = world.machine.hindered(Name::Jupyter);
    assert_eq!(hindered, Some("8 of 8 descriptors in use"));
    let effects = hear(&mut world, [ready("(2 of 8)"), ready("(2 of 8)")]);
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
            lacks("8 of 8 descriptors in use"),
            exited(process(Name::Jupyter, 0), Exit::Code(1), &[]),
            SWEPT(Name::Jupyter),
        ],
    );
    assert!(world.machine.hindered(Name::Jupyter).is_none());
    let effects = hear(&mut world, [lacks("GET is not answered")]);
    assert!(said(&effects).is_empty(), "it starts");
    let _ = hear(&mut world, [ready("")]);
    assert_eq!(world.machine.state(), State::Ready);
}
