//! The static binaries: small, without a dynamic linker, and the one for aarch64 runs.

use crate::support::{Place, made, program};
use std::fs;
use std::path::Path;

/// What it may weigh: it is read from a shared file system on every start.
const MOST_BYTES: usize = 3_900_000;

/// The type of the program header that names a dynamic linker.
const PT_INTERP: u32 = 3;

#[test]
fn the_static_binary_is_small_and_needs_no_dynamic_linker() {
    assert_static(&needed!(made("IPJOB_TEST_BINARY")));
}

#[test]
fn the_aarch64_binary_runs() {
    let binary = needed!(made("IPJOB_TEST_BINARY_AARCH64"));
    assert_static(&binary);
    let names = ["qemu-aarch64-static", "qemu-aarch64"];
    let qemu = needed!(program(&["/usr/bin", "/usr/local/bin"], &names));
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
