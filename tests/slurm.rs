//! Inside a real Slurm job? A cluster with two nodes, a login node and two users runs on this machine (tests/lab).

mod engines;
