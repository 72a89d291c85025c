//! Do engines start on nodes that do not share the profile directory?

use crate::support::lab::{ALICE, Lab};
use std::path::Path;

/// A driver on the node that has the profile: where the engines' own directories are, and whether their key came by the
/// environment.
const DRIVER: &str = "
import ipyparallel as ipp, os
profile = 'profile_' + os.environ['IPJOB_CLIENT_PROFILE']
rc = ipp.Client(profile_dir=os.path.join(os.environ['IPYTHONDIR'], profile), timeout=30)
def look():
    import os, sys
    own = os.environ['IPYTHONDIR']
    return os.uname().nodename, own[:18], 'IPP_CONNECTION_INFO' in os.environ, oct(os.stat(own).st_mode & 0o777), 'numpy' in sys.modules
print('driver', *rc[:].apply_sync(look), flush=True)
";

#[test]
fn engines_start_without_a_shared_profile_and_leave_nothing() {
    let lab = needed!(Lab::up(&[]));
    let driver = lab.script("driver.py", DRIVER);
    for way in ["exec", "fork"] {
        start_unshared(&lab, &driver, way);
    }
}

fn start_unshared(lab: &Lab, driver: &Path, way: &str) {
    // Each node of the lab has a /tmp of its own.
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        &format!(
            "umask 077\nexec ipjob --mode cluster-only --mpi none --engine-start {way} --ipython-dir /tmp/unshared -- python3 {}",
            driver.display()
        ),
    );
    let ended = job.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(!ended.output.contains("not forked"), "{}", ended.output);
    let line = "driver ('node1', '/tmp/unshared', False, '0o700', True) ('node2', '/tmp/ipjob-engine-', True, '0o700', True)";
    assert!(ended.output.contains(line), "{}", ended.output);
    let left = lab.shell("root", "node2", "ls -A /tmp /dev/shm").text;
    assert!(!left.contains("ipjob-engine"), "{left}");
    assert!(!left.contains("unshared"), "{left}");
    let left = lab
        .shell(ALICE, "node1", "ls -A /tmp /tmp/unshared/*/security")
        .text;
    assert!(!left.contains("ipjob-engine"), "{left}");
    assert!(!left.contains("json"), "{left}");
}
