//! What is here: this machine's programs, directories, ports, processes and limits. It looks and prepares; it decides
//! nothing about the job and shows nothing. Three rooms, each of which uses only those above it:
//! - `os`: what the kernel and its file systems do for a program
//! - `site`: what this machine is and has
//! - `profile`: what a job holds on it

pub mod os;
pub mod profile;
pub mod site;
