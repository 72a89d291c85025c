//! The job with real ipyparallel, real Jupyter and real mpi4py: what fakes cannot tell.

mod bench;
mod binary;
mod causes;
mod client;
mod controller;
mod driver;
mod eager;
mod ends;
mod foreign;
mod fork;
mod frontends;
mod guests;
pub mod http;
mod idle;
mod imports;
mod location;
mod nanny;
mod notebook;
mod preload;
mod printing;
pub mod python;
mod recovery;
mod secrets;
mod stop;
mod terminals;
mod user_config;
mod versions;

pub use python::{ask as ask_python, run as run_python};
