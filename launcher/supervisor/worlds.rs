//! Whether the engines are the one MPI world that srun was to make of them.

use super::Supervisor;
use super::event::{Event, Level};
use crate::failure::Failure;
use crate::here::mpi;
use crate::plan::service::Name;
use crate::plan::settings::Mpi;
use crate::plan::world::WorldReport;

impl Supervisor<'_> {
    /// An engine told the size of its world. A world that is too small is an error where a type was asked for, and is said, once,
    /// where ipjob chose.
    pub(super) fn world_reported(&mut self, world: WorldReport) -> Option<Event> {
        let expected = self.plan.engines;
        if world.size == expected || self.small_world_was_said {
            return None;
        }
        self.small_world_was_said = true;
        let what = format!(
            "engine {} is in an MPI world of {} although {expected} engines were started",
            world.task, world.size
        );
        let types = self.mpi_types();
        match &self.plan.settings.mpi {
            Mpi::Type(name) => Some(Event::Broken {
                service: Name::Engines,
                failure: Failure::not_ready(format!(
                    "{what}: --mpi {name} does not fit the MPI library of ipengine's mpi4py"
                ))
                .hint(format!("`srun --mpi=list` offers {types}"))
                .hint("MPICH and its kin want pmi2, Open MPI pmix; --mpi none starts engines without MPI"),
            }),
            Mpi::Auto | Mpi::Off => {
                self.say(
                    Level::Warning,
                    format!(
                        "{what}: choose a type with --mpi ({types}), or --mpi none if you need no MPI"
                    ),
                );
                self.publish();
                None
            }
        }
    }

    fn mpi_types(&self) -> String {
        let srun = self
            .plan
            .service(Name::Engines)
            .and_then(|service| service.processes.first());
        srun.map_or_else(String::new, |srun| mpi::types(&srun.program).join(", "))
    }
}
