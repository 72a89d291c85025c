//! What is here: this machine's programs, directories, ports, processes and limits. It looks and prepares; it decides
//! nothing about the job and shows nothing.

pub mod address;
pub mod asking;
pub mod computed;
pub mod controller_config;
pub mod directory;
pub mod files;
pub mod foreman;
pub mod guarded;
pub mod handing;
pub mod identity;
pub mod leftovers;
pub mod limits;
pub mod lock;
pub mod log;
pub mod meeting;
pub mod memory;
pub mod mpi;
pub mod ownership;
pub mod packages;
pub mod patience;
pub mod ports;
pub mod predecessor;
pub mod private_profile;
pub mod process;
pub mod programs;
pub mod pulse;
pub mod scontrol;
pub mod sockets;
pub mod starter;
pub mod state;
pub mod steps;
pub mod subreaper;
pub mod text;
pub mod versions;
pub mod wiring;
