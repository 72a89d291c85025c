use super::{Connect, views};
use crate::support::{Lab, lab::ALICE, program};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A notebook whose last cell runs on all ranks.
fn notebook() -> Value {
    let cell = |id: &str, source: &str| json!({"cell_type": "code", "id": id, "metadata": {}, "execution_count": null, "outputs": [], "source": source});
    json!({
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
        "cells": [
            cell("a", "import os\nimport ipyparallel as ipp\n\nrc = ipp.Client(profile=os.environ[\"IPJOB_CLIENT_PROFILE\"])\n\
                       rc.activate(targets=\"all\")\nrc.ids"),
            cell("b", "%%px\nfrom mpi4py import MPI\n\nworld = MPI.COMM_WORLD\n\
                       print(f\"rank {world.rank} of {world.size}: the sum of all ranks is {world.allreduce(world.rank)}\")"),
        ],
    })
}

#[test]
fn a_notebook_in_a_real_browser_runs_on_all_ranks_and_a_local_client_uses_them_meanwhile() {
    needed!(program(
        &["/usr/bin"],
        &["chromium", "chromium-browser", "google-chrome"]
    ));
    let lab = needed!(Lab::up(&[]));
    lab.script("ranks.ipynb", &notebook().to_string());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connect/browser.py");
    let shared = lab.share().join("browser.py");
    fs::copy(script, &shared).expect("copied");
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2"],
        "exec ipjob --mode notebook",
    );
    let profile = format!("job_{}", job.id);
    let mut connect = Connect::start(&lab, &profile, &[&format!("login:{}", job.id)]);
    let url = connect.wait_url();
    let ranks: Vec<String> = (0..4)
        .map(|rank| format!("rank {rank} of 4: the sum of all ranks is 6"))
        .collect();
    let seen = lab
        .on(ALICE, "laptop")
        .arg("python3")
        .arg(&shared)
        .args([
            &url,
            "ranks.ipynb",
            &ranks.join("|"),
            "/home/alice/page.png",
        ])
        .output()
        .expect("lab runs");
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(
        seen.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&seen.stderr)
    );
    for rank in &ranks {
        assert!(text.contains(rank.as_str()), "{rank}: {text}");
    }
    let picture = fs::read(lab.laptop_home("page.png")).expect("a screenshot");
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(views(&lab, &profile), "[0, 1, 2, 3]");
    connect.interrupt();
    lab.shell(ALICE, "login", &format!("scancel {}", job.id));
    job.finish();
}
