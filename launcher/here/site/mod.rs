//! What this machine is and has: its name and address, programs, packages, MPI, and what Slurm says of the job.

pub mod address;
pub mod given_token;
pub mod hub;
pub mod identity;
pub mod mpi;
pub mod mpi_launcher;
pub mod packages;
pub mod programs;
pub mod scontrol;
pub mod step_numbers;
pub mod stepd;
pub mod topology;
pub mod versions;
