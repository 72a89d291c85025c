//! What is here: this machine's programs, directories, ports, processes and limits. It looks and prepares; it decides
//! nothing about the job and shows nothing.

pub mod os;
pub mod profile;
pub mod site;
