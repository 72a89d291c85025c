use super::terminal::AtTerminal;
use super::{Connect, views};
use crate::support::{Lab, lab::ALICE, pictures, program};
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
                       total = world.allreduce(world.rank)\n\
                       print(f\"rank {world.rank} of {world.size} on {MPI.Get_processor_name()}: the sum is {total}\")"),
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
    let target = format!("login:{}", job.id);
    // A person who does not wait for the job, and ends the tunnel.
    let mut person = AtTerminal::start(&lab, &["connect", &target]);
    let shown = person.wait("Ctrl-C ends the tunnel", 1);
    pictures::terminal("connect.svg", &format!("ipjob connect {target}"), &shown);
    person.press("\u{3}");
    let (code, shown) = person.finish();
    assert_eq!(code, 0, "{shown}");
    let chart = ["status", &target, "--timeline"];
    let (code, shown) = AtTerminal::start(&lab, &chart).finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("controller  "), "{shown}");
    pictures::terminal(
        "timeline.svg",
        &format!("ipjob {}", chart.join(" ")),
        &shown,
    );
    let mut connect = Connect::start(&lab, &profile, &[&target]);
    let url = connect.wait_url();
    let ranks: Vec<String> = (0..4)
        .map(|rank| format!("rank {rank} of 4 on node"))
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
    assert_eq!(text.matches(": the sum is 6").count(), 4, "{text}");
    pictures::screenshot("laptop.png", &picture);
    assert_eq!(views(&lab, &profile), "[0, 1, 2, 3]");
    connect.interrupt();
    lab.shell(ALICE, "login", &format!("scancel {}", job.id));
    job.finish();
}
