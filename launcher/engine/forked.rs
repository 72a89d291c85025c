//! The engine of a task as a fork of the one Python of its node (`engine/fork.py` and `engine/tasks.py`), which the first task of
//! the node starts. The task stays: Slurm knows it, signals it and tells how it ended, so it hands signals on to the engine and ends
//! as the engine did. Its rank, labels, environment, CPUs and streams are thereby those of an engine of its own.
//!
//! docs/design/fork.md explains the design.

use super::pmi;
use super::task::Refusal;
use crate::here::os::affinity;
use crate::here::os::stray_processes::Leftover;
use crate::plan::environment::is_of_mpi;
use crate::plan::incarnation::INCARNATION_VARIABLE;
use crate::plan::threads;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, sendmsg, sockopt::PeerCredentials};
use nix::unistd::{close, geteuid};
use serde::Serialize;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{File, read_dir, read_to_string};
use std::io::{self, BufRead, BufReader, IoSlice, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::Duration;

/// The program, which ipjob carries with it.
const PROGRAM: &str = concat!(
    include_str!("preload.py"),
    "\n\n",
    include_str!("fork.py"),
    "\n\n",
    include_str!("tasks.py")
);

/// What is handed on to the engine.
const HANDED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// How often the socket is tried that the first task has bound and does not listen on yet, a millisecond each.
const TRIES: u32 = 1000;

/// How often an engine is looked at of which nobody tells any more.
const LOOK: u16 = 500;

/// How often the Python is looked at that is to end, ten milliseconds each.
const LAST_LOOKS: u32 = 200;

/// Our stdout and stderr.
const STREAMS: [RawFd; 2] = [1, 2];

/// What `ps` shows of the Python. It also leaves the forks the room in which `ps` shows their own, longer command lines.
const TITLE: &str = "forks-the-engines-of-this-node-------------------------------------";

/// Why an engine is not forked; empty where another task tells it.
pub type Why = String;

/// What is sent for a fork. Variables and arguments are bytes, each told as the character of that number.
#[derive(Serialize)]
struct Order {
    id: u32,
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    cpus: Vec<u32>,
    /// Variables with the numbers of descriptors, which are sent after the streams.
    descriptors: Vec<&'static str>,
}

impl Order {
    fn of(id: u32, command: &Command, descriptors: Vec<&'static str>) -> io::Result<Self> {
        let text = |bytes: &OsStr| bytes.as_bytes().iter().copied().map(char::from).collect();
        let mut environment: BTreeMap<String, String> = env::vars_os()
            .map(|(name, value)| (text(&name), text(&value)))
            .collect();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => environment.insert(text(name), text(value)),
                None => environment.remove(&text(name)),
            };
        }
        Ok(Self {
            id,
            // They are text already.
            args: command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect(),
            environment,
            cpus: affinity::own()?.iter().collect(),
            descriptors,
        })
    }
}

/// Has the engine of this id forked that this command would become, tells its process id, and waits for its end. `common` are the arguments that
/// all engines of the node have.
pub fn run(
    python: &Path,
    id: u32,
    command: &Command,
    common: &[String],
    node: &str,
    started: impl FnOnce(u32),
) -> Result<ExitStatus, Refusal> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("{what}: {error}")
    };
    let in_world = command.get_args().any(|arg| arg == "--mpi");
    let socket = pmi::socket(in_world, |name| env::var(name).ok())?;
    let descriptors = socket.map(|_| pmi::SOCKET).into_iter().collect();
    let order = Order::of(id, command, descriptors)
        .map_err(|error| format!("its CPUs are not known: {error}"))?;
    let (mut stream, listener) = meet(node)?;
    let mut forker = None;
    if let Some(listener) = listener {
        let child = start(python, command, common, listener);
        forker = Some(child.map_err(failed(&format!("{} cannot be started", python.display())))?);
    }
    // Until an engine is there signals end this task, as they would end an engine of its own that still imports.
    send(&mut stream, &order, socket).map_err(|error| Refusal {
        why: failed("nothing forks engines")(error),
        broke: true,
    })?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    let _ = lines.read_line(&mut line);
    let pid = match line.trim_end().split_once(' ') {
        Some(("engine", pid)) => pid
            .parse()
            .map_err(|_| format!("{pid:?} is not a process id"))?,
        Some(("ended", status)) => return Ok(status_of(status)),
        Some(("exec", why)) => {
            // It ends as soon as it has told all that were waiting; an engine is nobody's parent.
            let _ = forker.as_mut().map(Child::wait);
            return Err(why.to_owned().into());
        }
        _ => {
            let end = forker.as_mut().and_then(|forker| forker.wait().ok());
            let why = end
                .filter(|end| !end.success())
                .map_or_else(String::new, |end| {
                    format!("the Python that forks them ended with {end}")
                });
            return Err(Refusal {
                why,
                broke: line.is_empty(),
            });
        }
    };
    // The launcher is to see its end when the engine closes it.
    let _ = socket.map(close);
    let signals = signals().ok();
    let engine = Leftover::of(pid);
    started(pid);
    let (status, asked) = wait(lines, engine, signals.as_ref());
    if asked && let Some(forker) = &mut forker {
        await_its_end(forker);
    }
    Ok(status)
}

/// Waits a moment for the Python, as all engines of the node are asked to end together: what it and they have used of CPUs is counted as this
/// task's, by way of its children that it has waited for.
fn await_its_end(forker: &mut Child) {
    for _ in 0..LAST_LOOKS {
        if !matches!(forker.try_wait(), Ok(None)) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
}

/// The way to what forks this node's engines, and what it listens on where this task is the first.
fn meet(node: &str) -> Result<(UnixStream, Option<UnixListener>), Why> {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let incarnation = env::var(INCARNATION_VARIABLE).map_err(|_| "this is not an ipjob job")?;
    // Its random part, which nobody can know beforehand: a name has no owner until it is bound.
    let life = incarnation.rsplit('.').next().unwrap_or_default();
    let (job, step) = (variable("SLURM_JOB_ID"), variable("SLURM_STEP_ID"));
    let name = format!("ipjob-{life}-{job}.{step}-{node}");
    let failed =
        |error: io::Error| format!("the tasks of this node cannot reach each other: {error}");
    let address = SocketAddr::from_abstract_name(&name).map_err(failed)?;
    for _ in 0..TRIES {
        let listener = match UnixListener::bind_addr(&address) {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            Err(error) => return Err(failed(error)),
        };
        match UnixStream::connect_addr(&address) {
            Ok(stream) => {
                let peer = getsockopt(&stream, PeerCredentials).map_err(io::Error::from);
                if peer.map_err(failed)?.uid() != geteuid().as_raw() {
                    return Err(format!("@{name} is another user's"));
                }
                return Ok((stream, listener));
            }
            // Bound, and not listened on yet; or all that were here before have ended.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(format!("nobody listens on @{name}"))
}

/// Starts the Python. It is nobody's task: what is sent to this one's group is not for it, nor is this one's MPI world.
fn start(
    python: &Path,
    engine: &Command,
    common: &[String],
    listener: UnixListener,
) -> io::Result<Child> {
    let mut program = File::from(memfd_create(c"ipjob-engines", MFdFlags::empty())?);
    program.write_all(PROGRAM.as_bytes())?;
    program.rewind()?;
    let inherited: Vec<String> = inherited()?
        .into_iter()
        .filter(|number| *number != program.as_raw_fd())
        .map(|number| number.to_string())
        .collect();
    let of_mpi = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_mpi));
    let mut command = Command::new(python);
    for (name, _) in of_mpi {
        command.env_remove(name);
    }
    // Its libraries begin their threads when they are imported, before there is an engine.
    let told = |(name, text): (&OsStr, Option<&OsStr>)| {
        let is_it = threads::VARIABLES.iter().any(|wanted| name == *wanted);
        Some((name.to_owned(), text.filter(|_| is_it)?.to_owned()))
    };
    command
        .envs(engine.get_envs().filter_map(told))
        .args(["-c", &read_program(program.as_raw_fd()), TITLE])
        .arg(inherited.join(","))
        .arg(engine.get_program())
        .args(common)
        .stdin(OwnedFd::from(listener))
        .process_group(0)
        .spawn()
}

/// The program that runs the one which it reads from this descriptor. It has a name that nobody opens: to print a traceback, Python reads the
/// lines of each file in it, and would wait for ever for those of `/proc/self/fd/5` if that were a pipe of an engine's by then.
fn read_program(descriptor: RawFd) -> String {
    format!(
        "file = open({descriptor}, 'rb'); text = file.read(); file.close(); exec(compile(text, '<ipjob>', 'exec'))"
    )
}

/// The descriptors that a program which we start gets beside the standard streams: those that this task was given itself.
fn inherited() -> io::Result<Vec<RawFd>> {
    let is_inherited = |number: &RawFd| {
        // Ours are closed by an exec, which the last word of the second line tells: `flags: 02000002`.
        let text = read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
        *number > 2 && flags.is_some_and(|flags| flags & OFlag::O_CLOEXEC.bits() == 0)
    };
    let entries = read_dir("/proc/self/fd")?.flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(is_inherited).collect())
}

/// Sends what the fork needs, with our own streams and the socket of our MPI launcher.
fn send(stream: &mut UnixStream, order: &Order, socket: Option<RawFd>) -> io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    let descriptors: Vec<RawFd> = STREAMS.into_iter().chain(socket).collect();
    let sent = sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(&line)],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

/// Keeps the signals that are handed on from ending this task.
fn signals() -> nix::Result<SignalFd> {
    let mask: SigSet = HANDED_ON.into_iter().collect();
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Hands signals on until the engine's end is told; returns its status, and whether a signal had come.
fn wait(
    mut lines: BufReader<UnixStream>,
    engine: Option<Leftover>,
    signals: Option<&SignalFd>,
) -> (ExitStatus, bool) {
    let mut line = String::new();
    let (mut told, mut asked) = (true, false);
    loop {
        let mut ready = vec![];
        ready.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        if told {
            ready.push(PollFd::new(lines.get_ref().as_fd(), PollFlags::POLLIN));
        }
        let limit = if told {
            PollTimeout::NONE
        } else {
            PollTimeout::from(LOOK)
        };
        let _ = poll(&mut ready, limit);
        let speaks = told && ready.last().and_then(PollFd::any) == Some(true);
        while let Some(Ok(Some(caught))) = signals.map(SignalFd::read_signal) {
            let number = i32::try_from(caught.ssi_signo).unwrap_or_default();
            if let (Some(engine), Ok(signal)) = (engine, Signal::try_from(number)) {
                engine.signal(signal);
                asked = true;
            }
        }
        if speaks {
            line.clear();
            let _ = lines.read_line(&mut line);
            if let Some(status) = line.trim_end().strip_prefix("ended ") {
                return (status_of(status), asked);
            }
            // What forked it was killed; the engine can do without it.
            told = false;
        }
        if !told && engine.is_none_or(|engine| Leftover::of(engine.pid) != Some(engine)) {
            return (unknown(), asked);
        }
    }
}

/// An end as its status is told in digits.
fn status_of(status: &str) -> ExitStatus {
    status
        .parse()
        .map_or_else(|_| unknown(), ExitStatus::from_raw)
}

/// An end that nobody has told of: exit code 1.
fn unknown() -> ExitStatus {
    ExitStatus::from_raw(1 << 8)
}
