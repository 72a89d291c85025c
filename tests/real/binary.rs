//! The static binaries: small, without a dynamic linker, and the one for aarch64 runs.

use crate::support::Place;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What it may weigh: it is read from a shared file system on every start.
const MOST_BYTES: usize = 3_000_000;

/// The type of the program header that names a dynamic linker.
const PT_INTERP: u32 = 3;

fn given(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: {variable} is not set (make test sets it)");
    }
    path
}

#[test]
fn the_static_binary_is_small_and_needs_no_dynamic_linker() {
    if let Some(binary) = given("IPJOB_TEST_BINARY") {
        assert_static(&binary);
    }
}

#[test]
fn the_aarch64_binary_runs() {
    let Some(binary) = given("IPJOB_TEST_BINARY_AARCH64") else {
        return;
    };
    assert_static(&binary);
    let programs = ["qemu-aarch64-static", "qemu-aarch64"];
    let Some(qemu) = programs
        .into_iter()
        .find_map(|name| which::which(name).ok())
    else {
        eprintln!("skipped: neither {} is on PATH", programs.join(" nor "));
        return;
    };
    let place = Place::with_fakes();
    let run = |args: &[&str]| {
        let output = place.command(&qemu).arg(&binary).args(args).output();
        let output = output.expect("qemu starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(
        run(&["--version"]),
        concat!("ipjob ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let plan = run(&["--mode", "notebook", "-n", "2", "--dry-run"]);
    for program in ["ipcontroller", "ipengine", "jupyter-lab"] {
        assert!(plan.contains(program), "no {program} in:\n{plan}");
    }
}

/// Reads the headers of a 64-bit little-endian ELF file.
fn assert_static(binary: &Path) {
    let bytes = fs::read(binary).expect("readable");
    let binary = binary.display();
    let number = |at: usize, width: usize| {
        bytes[at..at + width]
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(
        bytes[..6],
        [0x7f, b'E', b'L', b'F', 2, 1],
        "64-bit, little-endian"
    );
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let types: Vec<u32> = (0..count)
        .map(|index| u32::try_from(number(table + index * size, 4)).expect("four bytes"))
        .collect();
    assert!(types.contains(&1), "{binary} loads nothing: {types:?}");
    assert!(
        !types.contains(&PT_INTERP),
        "{binary} names a dynamic linker"
    );
    let length = bytes.len();
    assert!(length <= MOST_BYTES, "{binary} has {length} bytes");
}
