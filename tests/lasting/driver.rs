//! A driver holds results: it ends when it has done, with its own code, whatever has become of its cluster.

use crate::support::{Job, Place, venv};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;

/// A driver that ends its cluster, or loses it, and still has work to do: until a pipe says that ipjob has noticed.
const DRIVER: &str = "
import os, sys
import ipyparallel as ipp
rc = ipp.Client(profile='job_local', timeout=60)
squares = rc[:].map_sync(lambda x: x * x, range(4))
END
open('noticed').read()
open('result', 'w').write(str(squares))
sys.exit(5)
";

#[test]
fn outlives_engines_and_controller_that_it_ends_or_loses() {
    let ends = [
        (
            "rc.shutdown(hub=True)",
            "controller was shut down by a client",
        ),
        ("rc.shutdown()", "the engines were shut down by a client"),
        ("rc[:].apply_async(os._exit, 9)", "the last engine ended"),
    ];
    for environment in ["main", "ipp88"] {
        let venv = needed!(venv(environment));
        for (end, said) in ends {
            let place = Place::with_venv(&venv);
            let driver = place.dir().join("driver.py");
            fs::write(&driver, DRIVER.replace("END", end)).expect("driver.py");
            let noticed = place.dir().join("noticed");
            mkfifo(&noticed, Mode::from_bits_truncate(0o600)).expect("a pipe");
            let mut command = place.ipjob(["--mode", "cluster-only", "-n", "2", "--", "python"]);
            command.arg(&driver);
            let mut job = Job::spawn(&place, "job_local", command);
            let line = job.wait_line(said);
            assert!(line.contains("; driver continues without "), "{line}");
            job.wait_state(&["degraded"]);
            fs::write(&noticed, "").expect("it reads");
            let (code, transcript) = job.finish();
            assert_eq!(code, 5, "{transcript}");
            job.assert_nothing_left();
            let result = fs::read_to_string(place.dir().join("result")).expect("its work");
            assert_eq!(result, "[0, 1, 4, 9]", "{transcript}");
            let record = job.record().expect("a record");
            assert_eq!(record["reason"], "driver ended with exit code 5");
        }
    }
}
