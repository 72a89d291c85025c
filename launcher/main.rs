//! The binary. `lib.rs` has the map of the code.

fn main() -> std::process::ExitCode {
    ipjob::main()
}
