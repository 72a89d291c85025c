//! The table of listening sockets in docs/security.md beside the kernel's own lists, in real jobs: a socket that is in no row fails, and so does a
//! row that no job here shows.

use super::kernels::Kernel;
use super::{as_bob, ports::text_of, processes};
use crate::connect::Connect;
use crate::support::{Job, Lab, Needed, Place, program, root, venv, wait_for};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SOCKETS: &str = include_str!("sockets.py");
const ENTER: &str = concat!(include_str!("zmtp.py"), include_str!("enter.py"));

/// Who gets in where sockets are encrypted, as the table says it, and where they are not.
const KEY: &str = "who knows the server's key";
const EVERYBODY: &str = "everybody";

/// The job's address without a scheduler.
const LOOPBACK: &str = "127.0.0.1";

/// The jobs of the tests below, as the last column of the table names them.
const JOBS: [&str; 11] = [
    "notebook", "plain", "wrapped", "mpiexec", "srun", "fork", "openmpi", "prte", "connect",
    "jump", "relay",
];

/// Who holds a socket: a word of its command line, and how the table calls the program.
const PROGRAMS: [(&str, &str); 7] = [
    ("debugpy/adapter", "debugger"),
    ("ipykernel_launcher", "kernel"),
    ("ipyparallel.engine.nanny", "nanny"),
    ("ipcontroller", "controller"),
    ("jupyter-", "Jupyter"),
    ("forks", "forker"),
    ("ipengine", "engine"),
];

/// A row of the table.
#[derive(Debug)]
struct Row {
    name: String,
    count: String,
    by: BTreeSet<String>,
    place: String,
    who: String,
    seen: BTreeSet<String>,
}

/// A process that has a socket open.
#[derive(Clone, Debug, Deserialize)]
struct Holder {
    pid: u32,
    argv: Vec<String>,
}

/// A listening socket, as `sockets.py` tells of it.
#[derive(Clone, Debug, Deserialize)]
struct Socket {
    inode: String,
    kind: String,
    address: String,
    port: Option<u16>,
    open: Option<bool>,
    holders: Vec<Holder>,
}

/// The table, whose columns are: socket, how many, held by, listens on, who gets in, changed by, seen in.
fn table() -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/security.md")).expect("the document");
    let (_, text) = text
        .split_once("\n| socket | ")
        .expect("the table of sockets");
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split(", ")
            .map(|word| word.trim_matches('`').to_owned())
            .collect()
    };
    text.lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, count, by, place, who, _, seen] = cells[..] else {
                panic!("not seven cells: {line}");
            };
            Row {
                name: name.to_owned(),
                count: count.to_owned(),
                by: words(by),
                place: place.to_owned(),
                who: who.to_owned(),
                seen: words(seen),
            }
        })
        .collect()
}

impl Row {
    fn admits(&self, socket: &Socket, job_address: &str) -> bool {
        let is_admitted = match self.place.as_str() {
            "the job's address" => socket.address == job_address,
            "the node's addresses" => socket.address.parse::<IpAddr>().is_ok(),
            place => socket.place() == place,
        };
        is_admitted && self.by == socket.by()
    }

    /// Whether one more than these is too many: of `2` in all, of `2 each` for the same processes, of `some` never.
    fn is_full(&self, found: &[Socket], next: &Socket) -> bool {
        match (
            self.count.strip_suffix(" each"),
            self.count.parse::<usize>(),
        ) {
            (Some(each), _) => {
                let same = found.iter().filter(|socket| socket.pids() == next.pids());
                each.parse().is_ok_and(|each: usize| each == same.count())
            }
            (None, Ok(all)) => found.len() == all,
            _ => false,
        }
    }

    /// Whether as many were found as the table has.
    fn is_as_many(&self, found: &[Socket]) -> bool {
        let is_full = |socket: &Socket| self.is_full(found, socket);
        !found.is_empty() && (self.count == "some" || found.iter().all(is_full))
    }
}

impl Socket {
    fn pids(&self) -> Vec<u32> {
        self.holders.iter().map(|holder| holder.pid).collect()
    }

    /// The programs that hold it, by the table's names.
    fn by(&self) -> BTreeSet<String> {
        self.holders.iter().map(Holder::program).collect()
    }

    /// Where it listens, in the table's words.
    fn place(&self) -> String {
        match (self.kind.as_str(), self.address.as_str(), self.open) {
            ("unix", _, Some(false)) => "a file that is closed to others".to_owned(),
            ("unix", name, _) if name.starts_with('@') => "an abstract name".to_owned(),
            ("unix", ..) => "a file that is open to all".to_owned(),
            (_, "0.0.0.0" | "::", _) => "all addresses".to_owned(),
            (_, address, _) => address.to_owned(),
        }
    }
}

impl Holder {
    fn program(&self) -> String {
        let first = self.argv.first().map_or("", String::as_str);
        let name = first.split(' ').next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let line = self.argv.join(" ");
        let known = PROGRAMS
            .iter()
            .find(|(word, _)| line.contains(word))
            .map(|(_, program)| (*program).to_owned());
        match (name.trim_end_matches(':'), self.argv.get(1)) {
            ("ipjob", Some(part)) if !part.starts_with('-') => format!("ipjob {part}"),
            (name, _) if name.starts_with("python") || name.starts_with("forks") => {
                known.unwrap_or_else(|| format!("a Python: {line}"))
            }
            (name, _) if name.starts_with("mpi") => "mpiexec".to_owned(),
            (name, _) => name.to_owned(),
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        let by: Vec<String> = self.by().into_iter().collect();
        write!(
            out,
            "{} {}{port} ({}) held by {}",
            self.kind,
            self.address,
            self.place(),
            by.join(", ")
        )
    }
}

/// What the program that reads the kernel's lists prints.
fn sockets(output: &Output) -> Vec<Socket> {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// All that a job on this machine listens on.
fn of_job(job: &Job, record: &Value) -> Vec<Socket> {
    let mut pids = processes(record);
    pids.insert(job.pid());
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", SOCKETS]);
    let output = command.args(pids.iter().map(u32::to_string)).output();
    sockets(&output.expect("python"))
}

/// Where a job's sockets can be looked at: the virtual environment.
fn venv_and_root() -> Needed<PathBuf> {
    root()?;
    program(&["/usr/bin"], &["python3"])?;
    venv("main")
}

/// All that is listened on on a machine of the lab.
fn on_machine(lab: &Lab, machine: &str) -> Vec<Socket> {
    let output = lab
        .on("root", machine)
        .args(["/usr/bin/python3", "-c", SOCKETS])
        .output();
    sockets(&output.expect("lab runs"))
}

/// How often a job is looked at until it is as the table says: some sockets come a moment after the job is ready.
const LOOKS: u32 = 40;

/// Compares what is found in this job with the rows that name it. Returns the sockets of each row.
fn compare(job: &str, job_address: &str, look: impl Fn() -> Vec<Socket>) -> OfRow {
    let rows: Vec<Row> = table()
        .into_iter()
        .filter(|row| row.seen.contains(job))
        .collect();
    let mut told = String::new();
    for _ in 0..LOOKS {
        match sort(&rows, job_address, look()) {
            Ok(of_row) => return of_row,
            Err(difference) => told = difference,
        }
    }
    panic!("{job}: {told}");
}

/// The sockets of each row by its name.
type OfRow = BTreeMap<String, Vec<Socket>>;

/// Finds the row of each socket; what is in none, and which rows are not so, where there are such.
fn sort(rows: &[Row], job_address: &str, found: Vec<Socket>) -> Result<OfRow, String> {
    let mut of_row: OfRow = rows
        .iter()
        .map(|row| (row.name.clone(), Vec::new()))
        .collect();
    let mut strangers = Vec::new();
    for socket in found {
        let row = rows.iter().find(|row| {
            row.admits(&socket, job_address) && !row.is_full(&of_row[&row.name], &socket)
        });
        match row {
            Some(row) => of_row.entry(row.name.clone()).or_default().push(socket),
            None => strangers.push(socket.to_string()),
        }
    }
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| !row.is_as_many(&of_row[&row.name]))
        .map(|row| {
            let found = of_row[&row.name].len();
            format!("{:?}: {found} found, {} in the table", row.name, row.count)
        })
        .collect();
    if strangers.is_empty() && wrong.is_empty() {
        return Ok(of_row);
    }
    Err(format!(
        "in no row of docs/security.md:\n{}\nrows that are not so:\n{}",
        strangers.join("\n"),
        wrong.join("\n")
    ))
}

/// At how many of the sockets in these rows another user, who has no key, is let in, and of how many.
fn lets_in(of_row: &OfRow, is_meant: impl Fn(&Row) -> bool) -> Needed<(usize, usize)> {
    let places: Vec<String> = table()
        .iter()
        .filter(|row| is_meant(row))
        .filter_map(|row| of_row.get(&row.name))
        .flatten()
        .map(|socket| match socket.port {
            Some(port) => format!("tcp:{port}"),
            None => format!("unix:{}", socket.address),
        })
        .collect();
    let bob = as_bob(ENTER)?.args(&places).spawn().expect("python");
    let entered = text_of(bob).trim().parse().expect("a number");
    Ok((entered, places.len()))
}

#[test]
fn every_row_of_the_table_is_seen_in_a_job() {
    let rows = table();
    let seen: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.seen.iter().map(String::as_str))
        .collect();
    assert_eq!(seen, BTreeSet::from(JOBS));
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "two rows of one name: {names:?}");
}

#[test]
fn a_socket_in_no_row_and_a_row_without_sockets_are_told() {
    let row = Row {
        name: "one".to_owned(),
        count: "1 each".to_owned(),
        by: BTreeSet::from(["engine".to_owned()]),
        place: LOOPBACK.to_owned(),
        who: EVERYBODY.to_owned(),
        seen: BTreeSet::new(),
    };
    let socket = |address: &str, argv: &[&str]| Socket {
        inode: String::new(),
        kind: "tcp".to_owned(),
        address: address.to_owned(),
        port: Some(1),
        open: None,
        holders: vec![Holder {
            pid: 1,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        }],
    };
    let engine = ["/usr/bin/python3", "/usr/bin/ipengine"];
    let good = socket(LOOPBACK, &engine);
    let told = |found: &[&Socket]| {
        let found = found.iter().map(|socket| (*socket).clone()).collect();
        sort(std::slice::from_ref(&row), LOOPBACK, found).err()
    };
    assert_eq!(told(&[&good]), None);
    for found in [
        &[][..],
        &[&good, &good],
        &[&good, &socket("0.0.0.0", &engine)],
        &[&good, &socket(LOOPBACK, &["/usr/bin/nc", "-l"])],
    ] {
        assert!(told(found).is_some(), "{found:?}");
    }
}

#[test]
fn the_sockets_of_a_notebook_with_kernels_are_those_of_the_table() {
    let venv = needed!(venv_and_root());
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2"]);
    let record = job.wait_ready();
    let mut kernel = Kernel::start(&place, &venv, &job);
    kernel.print("ready");
    assert_eq!(kernel.ask("debug"), "initialize");
    let of_row = compare("notebook", LOOPBACK, || of_job(&job, &record));
    let encrypted = needed!(lets_in(&of_row, |row| row.who == KEY));
    assert_eq!(encrypted, (0, 22));
    let files = needed!(lets_in(&of_row, |row| row.who == "you"));
    assert_eq!(files, (0, 5));
    let open = needed!(lets_in(&of_row, |row| row.name.contains("its forks")));
    assert_eq!(open, (1, 1));
    kernel.end();
    job.stop();
}

/// A driver that lets engines be kernels, starts a kernel as any program but Jupyter does, and waits for a word.
const DRIVER: &str = "
import os
import ipyparallel as ipp
from jupyter_client.manager import start_new_kernel
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=60)
rc[:].execute('import ipyparallel; ipyparallel.bind_kernel()', block=True)
manager, client = start_new_kernel()
os.mkfifo('go')
open('go').read()
client.stop_channels()
manager.shutdown_kernel()
";

#[test]
fn the_sockets_of_forked_engines_without_encryption_and_of_a_drivers_kernel_are_those_of_the_table()
{
    let venv = needed!(venv_and_root());
    let place = Place::with_venv(&venv);
    let mode = ["--mode", "cluster-only", "-n", "2", "--curve", "off"];
    let driver = ["--engine-start", "fork", "--", "python", "-c", DRIVER];
    let mut job = Job::start(&place, &[&mode[..], &driver].concat());
    let record = job.wait_ready();
    let go = place.dir().join("go");
    wait_for("the driver's kernels", || go.exists().then_some(()));
    let of_row = compare("plain", LOOPBACK, || of_job(&job, &record));
    // Without encryption nobody is kept out.
    let of_cluster = needed!(lets_in(&of_row, |row| row.who == KEY));
    assert_eq!(of_cluster, (22, 22));
    let of_kernels = needed!(lets_in(&of_row, |row| row.who == EVERYBODY));
    assert_eq!(of_kernels, (16, 16));
    fs::write(&go, "\n").expect("the driver reads it");
    assert_eq!(job.finish().0, 0, "{}", job.transcript());
}

#[test]
fn the_sockets_of_programs_that_take_none_of_ours_are_those_of_the_table() {
    let venv = needed!(venv_and_root());
    let place = Place::with_venv(&venv);
    for name in ["ipcontroller", "jupyter-lab"] {
        let real = venv.join("bin").join(name);
        place.script(name, &format!("exec {} \"$@\"", real.display()));
    }
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "1"]);
    let record = job.wait_ready();
    let of_row = compare("wrapped", LOOPBACK, || of_job(&job, &record));
    let encrypted = needed!(lets_in(&of_row, |row| row.who == KEY));
    assert_eq!(encrypted, (0, 20));
    job.stop();
}

#[test]
fn the_sockets_of_engines_under_mpiexec_are_those_of_the_table() {
    let venv = needed!(venv_and_root());
    let place = Place::with_venv(&venv);
    let arguments = ["--mode=cluster-only", "-n2", "--launcher=mpiexec"];
    let mut job = Job::start(&place, &arguments);
    let record = job.wait_ready();
    compare("mpiexec", LOOPBACK, || of_job(&job, &record));
    job.stop();
}

/// What is listened on on these machines, but for what was before.
fn new_on(lab: &Lab, machines: &[&str], before: &[Socket]) -> Vec<Socket> {
    let known: BTreeSet<&str> = before.iter().map(|socket| socket.inode.as_str()).collect();
    let mut found = Vec::new();
    for (number, machine) in (1..).zip(machines) {
        for mut socket in on_machine(lab, machine) {
            // Each machine counts its processes from 1.
            for holder in &mut socket.holders {
                holder.pid += number * 100_000_000;
            }
            found.push(socket);
        }
    }
    found.retain(|socket| !known.contains(socket.inode.as_str()));
    found
}

const NODES: [&str; 2] = ["node1", "node2"];

/// The first node's address, which is that of controller and Jupyter.
const NODE1: &str = "10.77.0.11";

#[test]
fn the_sockets_of_steps_and_of_connect_are_those_of_the_table() {
    let lab = needed!(Lab::up(&[]));
    let idle = new_on(&lab, &NODES, &[]);
    let ran = |job: &str, body: &str| {
        let submitted = lab.submit(&["-N2", "--ntasks-per-node=1"], body);
        submitted.wait_state("ready");
        compare(job, NODE1, || new_on(&lab, &NODES, &idle));
        submitted
    };
    let body = "exec ipjob --mode cluster-only --mpi none --engine-start fork";
    ran("fork", body).cancel();
    let job = ran("srun", "exec ipjob --mode notebook --mpi pmi2");
    let all = [&NODES[..], &["login", "laptop"]].concat();
    let before = new_on(&lab, &all, &[]);
    let ipjob = lab.ipjob().display().to_string();
    let (profile, target) = (format!("job_{}", job.id), format!("login:{}", job.id));
    for (name, way) in [("connect", "forward"), ("jump", "jump"), ("relay", "srun")] {
        let arguments = ["--via", way, "--remote-ipjob", &ipjob, &target];
        let mut connect = Connect::start(&lab, &profile, &arguments);
        connect.wait_url();
        compare(name, NODE1, || new_on(&lab, &all, &before));
        connect.interrupt();
    }
    job.cancel();
}

#[test]
fn the_sockets_of_open_mpi_are_those_of_the_table() {
    let lab = needed!(Lab::up(&["--mpi-packages", "openmpi"]));
    let idle = new_on(&lab, &NODES, &[]);
    for (name, launcher) in [
        ("openmpi", "srun"),
        ("prte", "mpiexec --launcher-command /usr/bin/mpiexec"),
    ] {
        let body = format!(
            "export MPI4PY_MPIABI=openmpi\nexec ipjob --mode cluster-only --launcher {launcher}"
        );
        let job = lab.submit(&["-N2", "--ntasks-per-node=1"], &body);
        job.wait_state("ready");
        compare(name, NODE1, || new_on(&lab, &NODES, &idle));
        job.cancel();
    }
}
