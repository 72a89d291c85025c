//! What the other nodes of the job see: this node's address, and the profile directory. Each runs `ipjob probe`.

use super::finding::Finding;
use super::step;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::run_program::ask;
use crate::here::site::identity;
use crate::report::output;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long a step may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// What a task on a node prints when it reached us, and when it saw the file.
const REACHED: &str = "ipjob-probe reached from ";
const SAW: &str = "ipjob-probe saw on ";

/// Whether a step can run beside others.
pub fn overlap(srun: &Path, findings: &mut Vec<Finding>) -> bool {
    let answer = ask(
        step::srun(srun).args([
            "--overlap",
            "--export=ALL",
            "--nodes=1",
            "--ntasks=1",
            "--mpi=none",
            "true",
        ]),
        LIMIT,
    );
    findings.push(if answer.is_good() {
        Finding::ok("steps", "srun --overlap starts a step beside running ones")
    } else {
        Finding::problem(
            "steps",
            format!("srun --overlap fails: {}", answer.reason()),
            "engines are started that way: `scontrol show step` shows which step holds the nodes; --launcher mpiexec works without srun",
        )
    });
    answer.is_good()
}

/// Lets a task on every node connect to us and look for a file of ours.
pub fn look(
    srun: &Path,
    nodes: &[String],
    address: Outcome<Ipv4Addr>,
    ipython_dir: &Path,
    findings: &mut Vec<Finding>,
) {
    let address = match address {
        Ok(address) => address,
        Err(failure) => {
            findings.push(Finding::problem(
                "address",
                failure.to_string(),
                failure.hints.join("; "),
            ));
            return;
        }
    };
    let prepared = prepare(address, ipython_dir);
    let (listener, marker) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            findings.push(Finding::problem(
                "address",
                failure.to_string(),
                "choose another with --address or --ipython-dir",
            ));
            return;
        }
    };
    let Ok(target) = listener.local_addr() else {
        return;
    };
    // It ends with the program: whoever is late finds nobody.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"ipjob");
        }
    });
    let ipjob = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ipjob"));
    let answer = ask(
        step::srun(srun)
            .args([
                "--overlap",
                "--export=ALL",
                "--mpi=none",
                "--ntasks-per-node=1",
            ])
            .arg("--kill-on-bad-exit=0")
            .arg(format!("--nodes={}", nodes.len()))
            .arg(format!("--ntasks={}", nodes.len()))
            .arg(ipjob)
            .args(["probe", &target.to_string()])
            .arg(&marker),
        LIMIT,
    );
    let _ = files::remove(&marker);
    let told = |head: &str| -> BTreeSet<&str> {
        answer
            .output
            .lines()
            .filter_map(|line| line.trim().strip_prefix(head))
            .collect()
    };
    let missing = |told: &BTreeSet<&str>| -> Vec<&str> {
        nodes
            .iter()
            .map(String::as_str)
            .filter(|node| !told.contains(node))
            .collect()
    };
    let reached = missing(&told(REACHED));
    findings.push(if reached.is_empty() {
        Finding::ok(
            "address",
            format!("all {} nodes reach {address}", nodes.len()),
        )
    } else {
        Finding::problem(
            "address",
            format!(
                "{address} cannot be reached from {}: {}",
                reached.join(", "),
                answer.reason()
            ),
            "give an address or interface that they can reach with --address",
        )
    });
    let saw = missing(&told(SAW));
    let place = ipython_dir.display();
    findings.push(if saw.is_empty() {
        Finding::ok("profile", format!("all {} nodes see {place}", nodes.len()))
    } else {
        Finding::problem(
            "profile",
            format!("{place} is not visible from {}", saw.join(", ")),
            "put it on a shared file system with --ipython-dir or IPYTHONDIR (engines of ipyparallel 8 and later start without it)",
        )
    });
}

/// A listener on our address, and a file of ours where profiles lie.
fn prepare(address: Ipv4Addr, ipython_dir: &Path) -> Outcome<(TcpListener, PathBuf)> {
    let listener = TcpListener::bind((address, 0)).map_err(|error| {
        Failure::missing(format!("nothing can listen on {address}")).because(error)
    })?;
    // The directory itself may come with the first job only.
    let place = ipython_dir
        .ancestors()
        .find(|place| place.is_dir())
        .unwrap_or(ipython_dir);
    let marker = place.join(format!(".ipjob-doctor-{}", identity::random_hex::<8>()?));
    files::private_file(&marker, b"").map_err(|error| {
        Failure::missing(format!("{} cannot be written", place.display())).because(error)
    })?;
    Ok((listener, marker))
}

/// `ipjob probe`: what runs on each node.
pub fn probe(target: SocketAddr, marker: &Path) -> Outcome<u8> {
    let node = std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| identity::host());
    if marker.exists() {
        output::line(&format!("{SAW}{node}"));
    }
    let connected = TcpStream::connect_timeout(&target, CONNECT).and_then(|mut stream| {
        stream.set_read_timeout(Some(CONNECT))?;
        let mut word = [0; 5];
        stream.read_exact(&mut word)
    });
    connected.map_err(|error| {
        Failure::missing(format!("{target} cannot be reached from {node}")).because(error)
    })?;
    output::line(&format!("{REACHED}{node}"));
    Ok(0)
}
