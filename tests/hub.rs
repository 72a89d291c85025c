//! In a user's server of a hub whose batchspawner submits to Slurm? It runs on the lab's login node, with the configuration that
//! docs/hubs.md tells centres to have.

use crate::support::lab::ALICE;
use crate::support::{Lab, program, wait_for};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ADDRESS: &str = "10.77.0.2";
const URL: &str = "http://login:8000";
const PASSWORD: &str = "the password of the lab";
const PROXY_TOKEN: &str = "token-of-the-labs-proxy";
const ONE_NODE: &str = "4 CPUs";
const TWO_NODES: &str = "2 nodes with 4 CPUs each";

/// The block of docs/hubs.md in which this stands.
fn block(words: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hubs.md"));
    let page = page.expect("the page");
    let blocks = page.split("```python\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(words));
    block.expect("a block with these words").to_owned()
}

/// What a centre has in its hub's configuration, with the lab's paths.
fn configuration(lab: &Lab) -> String {
    // What the wheel puts into the environment in /opt lies beside it in the lab.
    let programs = format!("{}/bin:{}", lab.venv().display(), lab.share().display());
    block("c.JupyterHub.spawner_class").replace("/opt/jupyter/bin", &programs)
}

/// A program of root's on the login node; it ends with this value.
struct Server {
    log: PathBuf,
    process: Child,
}

impl Server {
    /// Starts it, and waits until it says this.
    fn start(lab: &Lab, name: &str, line: &str, ready: &str) -> Self {
        let log = lab.share().join(format!("{name}.log"));
        let file = File::create(&log).expect("a log");
        let process = lab
            .on("root", "login")
            .args([
                "env",
                &format!("CONFIGPROXY_AUTH_TOKEN={PROXY_TOKEN}"),
                &format!("HUB_ADDRESS={ADDRESS}"),
                "bash",
                "-c",
                line,
            ])
            .stdout(file.try_clone().expect("the log"))
            .stderr(file)
            .spawn()
            .expect("it starts");
        let mut server = Self { log, process };
        wait_for(&format!("{ready:?} of the {name}"), || {
            let ended = server.process.try_wait().expect("a child");
            assert!(ended.is_none(), "the {name} ended: {}", server.log());
            server.log().contains(ready).then_some(())
        });
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("==== {}\n{}", self.log.display(), self.log());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A hub that runs, with the proxy before it; both end with this value.
struct Hub<'a> {
    lab: &'a Lab,
    _servers: [Server; 2],
}

impl<'a> Hub<'a> {
    /// Starts the hub, with more lines at the end of its configuration.
    fn start(lab: &'a Lab, more: &str) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        for file in ["hub/visitor.py", "hub/login.py", "connect/browser.py"] {
            let name = Path::new(file).file_name().expect("a name");
            fs::copy(tests.join(file), lab.share().join(name)).expect("copied");
        }
        let package = lab.share().join("python/ipjob");
        fs::create_dir_all(&package).expect("a directory");
        let source =
            fs::read_dir(tests.with_file_name("python").join("ipjob")).expect("the package");
        for file in source.flatten().filter(|file| file.path().is_file()) {
            fs::copy(file.path(), package.join(file.file_name())).expect("copied");
        }
        let own = fs::read_to_string(tests.join("hub/jupyterhub_config.py")).expect("the lab's");
        let config = lab.share().join("jupyterhub_config.py");
        let path = format!(
            "c.SlurmSpawner.req_prologue += '\\nexport PYTHONPATH={}'",
            lab.share().join("python").display()
        );
        fs::write(
            &config,
            format!("{own}\n{}\n{path}\n{more}\n", configuration(lab)),
        )
        .expect("written");
        let proxy = Server::start(
            lab,
            "proxy",
            "exec configurable-http-proxy --port 8000 --api-ip 127.0.0.1 --api-port 8001 \
             --error-target http://127.0.0.1:8081/hub/error",
            "Proxy API at",
        );
        // Its files are in the machine's own /run, where nobody else comes.
        let line = format!(
            "mkdir -m 700 /run/hub && cd /run/hub && exec jupyterhub -f {}",
            config.display()
        );
        let hub = Server::start(lab, "hub", &line, "JupyterHub is now running");
        Self {
            lab,
            _servers: [hub, proxy],
        }
    }

    /// What a user does by HTTP (tests/hub/visitor.py).
    fn user(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.on(ALICE, "login");
        command
            .arg("python3")
            .arg(self.lab.share().join("visitor.py"))
            .arg(URL)
            .args(arguments);
        command
    }

    /// The same, which must succeed; what it prints.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.user(arguments).output().expect("lab runs");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}{errors}");
        text
    }

    /// A new kernel.
    fn kernel(&'a self) -> Kernel<'a> {
        let id = self.does(&["new"]);
        Kernel { hub: self, id }
    }

    /// The job of the user's server.
    fn job(&self) -> String {
        let done = self
            .lab
            .shell(ALICE, "login", "squeue --noheader --format=%A");
        assert_eq!(done.code, 0, "{}", done.text);
        done.text.trim().to_owned()
    }
}

/// A kernel of the user's server.
struct Kernel<'a> {
    hub: &'a Hub<'a>,
    id: String,
}

impl Kernel<'_> {
    /// Begins to run a cell; its output comes by the process's.
    fn begin(&self, code: &str) -> Child {
        let mut child = self
            .hub
            .user(&["run", &self.id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("lab runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, code.as_bytes()).expect("it reads");
        child
    }

    /// Runs a cell, which must end well; what it shows.
    fn run(&self, code: &str) -> String {
        let output = self.begin(code).wait_with_output().expect("lab runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{code}\n{text}");
        text
    }
}

/// A notebook of these cells, in the user's home.
fn notebook(lab: &Lab, name: &str, cells: &[&str]) {
    let cells: Vec<Value> = cells
        .iter()
        .zip('a'..)
        .map(|(source, id)| json!({"cell_type": "code", "id": id.to_string(), "metadata": {}, "execution_count": null, "outputs": [], "source": source}))
        .collect();
    let notebook = json!({
        "nbformat": 4, "nbformat_minor": 5, "cells": cells,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
    });
    lab.script(name, &notebook.to_string());
}

/// Each rank tells where it is, and whether it has something of the hub's.
const RANKS: &str = "%%px --no-stream
import os
from mpi4py import MPI
world = MPI.COMM_WORLD
secrets = [name for name in os.environ if name.startswith(('JUPYTERHUB_', 'JPY_'))]
print(f'rank {world.rank} of {world.allreduce(1)} on {os.uname().nodename} has {secrets}', flush=True)";

/// Starts engines in a cell.
fn start_engines(kernel: &Kernel<'_>) {
    let shown = kernel.run(&block("%ipjob start"));
    assert!(shown.contains("4 of 4 engines"), "{shown}");
}

#[test]
fn a_cell_starts_ranks_in_the_one_task_of_a_users_server() {
    let lab = needed!(Lab::with("hub", &[]));
    cells_of_a_server_with_one_task(&lab);
}

#[test]
#[ignore = "make test LONG=1"]
fn a_cell_of_an_older_hubs_server_does_the_same() {
    let lab = needed!(Lab::with("hub5", &[]));
    cells_of_a_server_with_one_task(&lab);
}

fn cells_of_a_server_with_one_task(lab: &Lab) {
    let hub = Hub::start(lab, "");
    hub.does(&["start", ONE_NODE]);
    let job = lab.job(&hub.job());
    let kernel = hub.kernel();
    start_engines(&kernel);
    let shown = kernel.run(RANKS);
    for rank in 0..4 {
        let line = format!("rank {rank} of 4 on node1 has []");
        assert!(shown.contains(&line), "{shown}");
    }

    // Interrupt reaches what the engines do, and not what they are.
    let mut waits = kernel.begin(
        "%%px --no-stream\nimport threading\nopen(f'begun-{world.rank}', 'w').close()\nthreading.Event().wait()",
    );
    wait_for("the cell on all engines", || {
        (0..4)
            .all(|rank| lab.home(format!("begun-{rank}")).exists())
            .then_some(())
    });
    hub.does(&["interrupt", &kernel.id]);
    waits.wait().expect("it ends");
    assert_eq!(
        kernel.run("print(rc[:].apply_sync(lambda: 1))").trim(),
        "[1, 1, 1, 1]"
    );
    assert_eq!(job.record().expect("a record")["state"], "ready");

    // A kernel that starts again has lost its engines' client, and they end with it.
    hub.does(&["restart", &kernel.id]);
    job.wait_state("ended");
    assert_eq!(job.assert_nothing_left()["exit"], 0);

    start_engines(&kernel);
    kernel.run("%ipjob stop");
    assert_eq!(job.assert_nothing_left()["exit"], 0);

    start_engines(&kernel);
    hub.does(&["stop"]);
    job.finish();
    let record = job.assert_nothing_left();
    assert_eq!(record["exit"], 0, "{record}");
}

/// What ranks say of themselves on two nodes.
const ON_TWO_NODES: [&str; 4] = [
    "rank 0 of 4 on node1",
    "rank 1 of 4 on node1",
    "rank 2 of 4 on node2",
    "rank 3 of 4 on node2",
];

/// As at centres that start the server without a step.
const WITHOUT_A_STEP: &str = "c.SlurmSpawner.req_srun = ''";

#[test]
fn a_server_without_a_step_has_ranks_on_two_nodes() {
    // The roots of other versions of Slurm have no browser.
    let in_a_browser = Lab::has_programs_of_this_machine();
    if in_a_browser {
        needed!(program(
            &["/usr/bin"],
            &["chromium", "chromium-browser", "google-chrome"]
        ));
    }
    let lab = needed!(Lab::with("hub", &[]));
    let hub = Hub::start(&lab, WITHOUT_A_STEP);
    let shown = if in_a_browser {
        in_a_real_browser(&lab)
    } else {
        hub.does(&["start", TWO_NODES]);
        let kernel = hub.kernel();
        start_engines(&kernel);
        kernel.run(RANKS)
    };
    for line in ON_TWO_NODES {
        assert!(shown.contains(line), "{shown}");
    }
    let job = lab.job(&hub.job());
    job.scancel();
    job.finish();
    let record = job.assert_nothing_left();
    assert_eq!(record["exit"], 0, "{record}");
}

/// What a person sees who logs in, starts a server and runs a notebook.
fn in_a_real_browser(lab: &Lab) -> String {
    notebook(lab, "ranks.ipynb", &[&block("%ipjob start"), RANKS]);
    let seen = lab
        .on(ALICE, "login")
        .arg("python3")
        .arg(lab.share().join("login.py"))
        .args([
            URL,
            ALICE,
            PASSWORD,
            TWO_NODES,
            "ranks.ipynb",
            &ON_TWO_NODES.join("|"),
        ])
        .output()
        .expect("lab runs");
    let text = String::from_utf8_lossy(&seen.stdout);
    let errors = String::from_utf8_lossy(&seen.stderr);
    assert!(seen.status.success(), "{text}{errors}");
    text.into_owned()
}
