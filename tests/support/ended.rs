//! What must hold after every end that ipjob lived to see.

use super::carriers;
use serde_json::Value;
use std::path::Path;

/// Checks that nothing is left of a job: no process, no connection file, no secret; its record says how it ended. `output` is
/// what the job wrote, for the message.
pub fn assert_nothing_left(record: &Value, profile: &Path, output: &str) {
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(carriers(incarnation), [], "processes are left:\n{output}");
    assert_eq!(record["state"], "ended", "{output}");
    assert_eq!(record["token"], Value::Null);
    assert_eq!(record["url"], Value::Null);
    for gone in [
        "security/ipcontroller-client.json",
        "security/ipcontroller-engine.json",
        "security/ipcontroller-ipjob0-client.json",
        "security/ipcontroller-ipjob0-engine.json",
        "ipjob-runtime",
    ] {
        assert!(!profile.join(gone).exists(), "{gone} is left");
    }
}
