//! Engines that others added.

use super::lasting::{SWEPT, hear, job, said};
use super::*;

#[test]
fn guests_keep_the_cluster_and_when_they_leave_it_ends_as_the_last_of_ours_did() {
    let mut world = job(Name::Engines);
    let effects = hear(&mut world, [listed(&[0, 1, 2, 5])]);
    let come = "2 engines that others added work with this cluster";
    assert_eq!(said(&effects), [come]);
    assert_eq!(world.machine.guests(), 2);
    assert_eq!(world.machine.state(), State::Ready);
    let effects = hear(
        &mut world,
        [
            exited(Unit::EngineGroup, Exit::Code(1), &[]),
            Event::Preempted(false),
        ],
    );
    let line = "; the cluster stays for 2 engines that others added, and goes on without engines";
    let told = said(&effects);
    assert!(told.iter().any(|text| text.contains(line)), "{told:?}");
    assert_eq!(world.machine.state(), State::Degraded);
    let _ = hear(&mut world, [SWEPT(Name::Engines), listed(&[5])]);
    assert_eq!(world.machine.reason(), None);
    let effects = hear(&mut world, [listed(&[])]);
    assert!(said(&effects).contains(&"the engines that others added have left"));
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.contains("ended with exit code 1"), "{reason}");
    assert_eq!(world.machine.state(), State::Stopping);
}
