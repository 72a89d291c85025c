//! What the kernel and its file systems do for a program: processes, sockets, files, time. Nothing here knows of a profile or of Slurm.

pub mod affinity;
pub mod connections;
pub mod cpu_time;
pub mod files;
pub mod guard;
pub mod handover;
pub mod http;
pub mod limits;
pub mod local_time;
pub mod log;
pub mod memory;
pub mod own_time;
pub mod process;
pub mod run_program;
pub mod secure_path;
pub mod session;
pub mod signals;
pub mod sockets;
pub mod state;
pub mod stray_processes;
pub mod subreaper;
pub mod text;
pub mod time_limited;
