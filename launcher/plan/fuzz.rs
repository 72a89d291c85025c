//! What comes from outside, in every form that chance finds: text of Slurm, of programs, of files. Nothing of it may make ipjob panic,
//! grow without bound, or believe what was not said. `make test` tries a few hundred of each, `make fuzz CASES=10000000` millions.

mod files;
mod lines;
mod slurm;
