//! Jupyter dies.

use super::{child_of, send, wait_replaced};
use crate::support::{Job, Place, venv};
use nix::sys::signal::Signal;

#[test]
fn a_killed_jupyter_is_back_at_the_same_address_and_the_engines_never_notice() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2"]);
    let before = job.wait_ready();
    let record = job.profile().join("ipjob.json");
    let cell = |text: &str| {
        let path = record.to_str().expect("text");
        crate::real::run_python(&place, &venv, "jupyter.py", &[path, text])
    };
    let keep = "import os, ipyparallel as ipp\nrc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])\nrc[:].push({'x': 7}, block=True)";
    cell(keep);
    let jupyter = child_of(job.pid(), "jupyter-lab");
    send(jupyter, Signal::SIGKILL);
    job.wait_line(&format!(
        "jupyter (pid {jupyter}) ended with signal 9 (SIGKILL); it is started again (1 of 5)"
    ));
    let after = wait_replaced(&job, "jupyter", 1);
    for same in ["url", "token", "port", "engines", "controller"] {
        assert_eq!(after[same], before[same]);
    }
    // The same url, in a browser that was open, and the engines' data behind it.
    let look = "import os, ipyparallel as ipp\nrc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])\nprint('x is', rc[:]['x'])";
    let printed = cell(look);
    assert!(printed.contains("x is [7, 7]"), "{printed}");
    job.stop();
}
