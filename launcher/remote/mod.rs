//! Jobs seen from elsewhere: from a laptop over the user's ssh program, or from the login node itself. Nothing but `sh`, `cat` and
//! squeue is needed on the cluster: what there is comes as it stands, and is judged here.

pub mod clean;
pub mod connect;
pub mod find;
#[cfg(test)]
mod fuzz;
pub mod inside;
pub mod job_state;
pub mod jobs;
pub mod offers;
pub mod parts;
pub mod queue;
pub mod relay;
pub mod restart;
pub mod shell;
pub mod ssh;
pub mod status;
pub mod stop;
pub mod target;
pub mod wait;
