//! What a job holds on this machine: its profile directory with the lock, its ports, and the files that tell of them.

pub mod connection_files;
pub mod controller_config;
pub mod directory;
pub mod handing;
pub mod lock;
pub mod ownership;
pub mod ports;
pub mod record_liveness;
pub mod rendezvous;
pub mod socket_directory;
pub mod wiring;
