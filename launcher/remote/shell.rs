//! Runs a script of POSIX `sh`, here or through the user's own ssh program, and hands on what it prints, part by part.
//!
//! The script goes over stdin and its words with it, each quoted: the command line that the login shell of the other side reads is
//! always the same, whatever shell that is. Nothing of ssh is overruled but what would disturb: forwards and X11 of the user's
//! configuration. Prompts reach the terminal, because ssh asks there and not on its stdin.

use super::parts::{END, Part, Parts, RAW};
use super::ssh;
use super::target::{Host, place};
use crate::failure::{Failure, Outcome};
use crate::here::os::own_time;
use crate::here::site::identity;
use crate::report::dry_run::quoted;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The command that reads a script from its stdin, in whatever shell the login has.
pub const READ_SCRIPT: &str = "exec /bin/sh -s";

/// What every script begins with. A `.bashrc` that ends in `exec zsh` puts zsh in the place of the command above, to read the script as
/// commands that it takes for other ones. It reads no further than a line's end before it runs that line, so the rest is for `sh`.
pub const INTO_SH: &str = "[ -z \"$ZSH_VERSION\" ] || ! emulate sh 2>/dev/null || exec /bin/sh -s";

/// The longest silence once the other side has begun to answer: its script asks nothing that may take longer.
const SILENCE: Duration = Duration::from_secs(120);

/// Bytes of one part and of a whole round that are taken.
const LONGEST_PART: usize = crate::record::LONGEST_RECORD;
const LONGEST_ROUND: usize = 64 * 1024 * 1024;

/// Bytes of the errors that are kept: they may hold the parts that a script tells after its streams were another's.
const LONGEST_ERRORS: u64 = 4 * 1024 * 1024;

/// A script that runs.
pub struct Session {
    host: Option<Host>,
    child: Child,
    mark: String,
    orders: Option<Sender<String>>,
    writer: Option<JoinHandle<Option<ChildStdin>>>,
    parts: Receiver<Part>,
    rest: Receiver<BufReader<ChildStdout>>,
    errors: Option<Receiver<String>>,
    begun: bool,
    taken: usize,
}

/// The streams of a script that carry something else, after its part `raw`.
pub struct Streams {
    /// What it reads.
    pub to: ChildStdin,
    /// What it prints.
    pub from: BufReader<ChildStdout>,
}

/// What a script said last on its stderr, where its streams were another's.
#[derive(Debug)]
pub struct LastWords {
    /// What is no part.
    pub errors: String,
    /// The parts.
    pub parts: Vec<Part>,
}

impl Session {
    /// Starts a script with these words as `$1`, `$2` ...; `$mark` is what begins each of its parts.
    pub fn open(host: Option<&Host>, script: &str, words: &[&str]) -> Outcome<Self> {
        let mut command = command(host)?;
        let mark = identity::random_hex::<16>()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Failure::missing(format!(
                    "{} cannot be started",
                    command.get_program().display()
                ))
                .because(error)
                .hint("check that it can be run here")
            })?;
        let text = with_words(script, &mark, words);
        let (orders, lines) = channel::<String>();
        // ssh reads it only once it is connected, and may end before.
        let writer = child.stdin.take().map(|mut stdin| {
            thread::spawn(move || {
                let mut lines = std::iter::once(text).chain(lines);
                let all = lines.try_for_each(|line| stdin.write_all(line.as_bytes()));
                all.ok().map(|()| stdin)
            })
        });
        let (sender, parts) = sync_channel(16);
        let (handing_over, rest) = channel();
        if let Some(stdout) = child.stdout.take() {
            let mark = mark.clone();
            thread::spawn(move || {
                let mut parts = Parts::new(BufReader::new(stdout), &mark, LONGEST_PART);
                // A stream that breaks is the script's end.
                while let Ok(Some(part)) = parts.next() {
                    let is_last = part.kind == RAW;
                    if sender.send(part).is_err() || is_last {
                        break;
                    }
                }
                let _ = handing_over.send(parts.into_rest());
            });
        }
        let errors = child.stderr.take().map(collect);
        Ok(Self {
            host: host.cloned(),
            child,
            mark,
            orders: Some(orders),
            writer,
            parts,
            rest,
            errors,
            begun: false,
            taken: 0,
        })
    }

    /// The next part; `None` when the script has ended well.
    pub fn next(&mut self) -> Outcome<Option<Part>> {
        let received = if self.begun {
            own_time::receive(&self.parts, SILENCE)
        } else {
            // Before the first part a person may be asked for a password.
            self.parts
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected)
        };
        match received {
            Ok(part) => {
                self.begun = true;
                self.taken = self.taken.saturating_add(part.body.len());
                if part.kind == END {
                    self.taken = 0;
                }
                if self.taken > LONGEST_ROUND {
                    return Err(self
                        .failure(format!(
                            "{} sent more than {LONGEST_ROUND} bytes",
                            self.place()
                        ))
                        .hint("name one job instead of asking for all"));
                }
                Ok(Some(part))
            }
            Err(RecvTimeoutError::Timeout) => Err(self
                .failure(format!(
                    "{} has been silent for {} s",
                    self.place(),
                    SILENCE.as_secs()
                ))
                .hint("a file system or Slurm may hang there; try again")),
            Err(RecvTimeoutError::Disconnected) => self.ended().map(|()| None),
        }
    }

    /// Tells the script lines that it waits for. One is one line whatever it holds; what would make it two is left out.
    pub fn tell(&self, lines: &[&str]) {
        let text: String = lines
            .iter()
            .flat_map(|line| line.chars().filter(|char| !char.is_control()).chain(['\n']))
            .collect();
        // A script that has ended is told of by the next part.
        let _ = self.orders.as_ref().map(|orders| orders.send(text));
    }

    /// The streams themselves, once the part `raw` has come: no orders and parts from here on.
    pub fn streams(&mut self) -> Outcome<Streams> {
        self.orders = None;
        let to = self.writer.take().and_then(|writer| writer.join().ok()?);
        match (to, self.rest.recv()) {
            (Some(to), Ok(from)) => Ok(Streams { to, from }),
            _ => Err(self.failure(format!("{} does not listen", self.place()))),
        }
    }

    /// Waits so long for the end of a script whose streams were handed over, and takes its last words.
    pub fn last_words(&mut self, limit: Duration) -> LastWords {
        let errors = self.errors.take();
        let said = errors.and_then(|errors| own_time::receive(&errors, limit).ok());
        let said = said.unwrap_or_default();
        let begin = format!("{} ", self.mark);
        let at = said.lines().position(|line| line.starts_with(&begin));
        let errors = said.lines().take(at.unwrap_or(usize::MAX));
        let errors = errors.collect::<Vec<_>>().join("\n");
        let mut told = Parts::new(said.as_bytes(), &self.mark, LONGEST_PART);
        let parts = std::iter::from_fn(|| told.next().ok().flatten()).collect();
        LastWords { errors, parts }
    }

    /// What is said of the end of the script.
    fn ended(&mut self) -> Outcome<()> {
        let status = self
            .child
            .wait()
            .map_err(|error| Failure::missing("a child cannot be waited for").because(error))?;
        let errors = self.errors.take().and_then(|errors| errors.recv().ok());
        let errors = errors.unwrap_or_default();
        match &self.host {
            _ if status.success() => Ok(()),
            Some(host) if status.code() == Some(ssh::FAILED) => {
                Err(ssh::failed(host.as_str(), &errors))
            }
            _ => Err(self
                .failure(format!(
                    "the shell on {} ended with {}",
                    self.place(),
                    told(status)
                ))
                .because(ssh::words_of(&errors))),
        }
    }

    /// The host that was named.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    fn place(&self) -> String {
        place(self.host.as_ref())
    }

    fn failure(&self, message: String) -> Failure {
        match self.host {
            Some(_) => Failure::ssh(message),
            None => Failure::missing(message),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended already, unless what it tells is not wanted any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ssh HOST` or a shell of this machine, to be given a script on its stdin.
fn command(host: Option<&Host>) -> Outcome<Command> {
    let Some(host) = host else {
        let mut command = Command::new("/bin/sh");
        command.arg("-s");
        return Ok(command);
    };
    let program = ssh::program()?;
    let options = ssh::options(&program);
    let mut command = Command::new(program);
    command
        .args(options)
        .args(["--", host.as_str(), READ_SCRIPT]);
    Ok(command)
}

/// The script with its mark and words, each quoted for `sh`. Its end is told, because its stdin stays open for orders.
fn with_words(script: &str, mark: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!(
        "{INTO_SH}\nmark={mark}\nset -- {}\n{script}\nexit\n",
        words.join(" ")
    )
}

fn collect(stream: ChildStderr) -> Receiver<String> {
    let (sender, collected) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut stream = BufReader::new(stream);
        let _ = stream.by_ref().take(LONGEST_ERRORS).read_to_end(&mut bytes);
        // A writer that nobody reads from would stop.
        while let Ok(rest) = stream.fill_buf().map(<[u8]>::len)
            && rest > 0
        {
            stream.consume(rest);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    collected
}

/// How the child ended, in words.
fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(script: &str, words: &[&str]) -> Outcome<Vec<Part>> {
        let mut session = Session::open(None, script, words)?;
        let mut parts = Vec::new();
        while let Some(part) = session.next()? {
            parts.push(part);
        }
        Ok(parts)
    }

    #[test]
    fn words_reach_the_script_as_they_are() {
        let wild = "a'b\"c $(id) `id` ;|&*\\ \u{e9}\n-n";
        let parts =
            all("printf '%s x %s\\n%s' \"$mark\" \"$2\" \"$1\"", &[wild, ""]).expect("it runs");
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].text(), wild);
    }

    #[test]
    fn a_script_that_fails_is_told_with_its_words() {
        let failure = all("echo 'it \u{1b}[31mburns' >&2; exit 3", &[]).expect_err("exit 3");
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.message.contains("exit code 3"), "{failure}");
        assert_eq!(failure.cause.as_deref(), Some("it burns"));
    }

    #[test]
    fn a_script_takes_orders_after_its_first_answer() {
        let script = "main() { printf '%s ready\\n%s end\\n' \"$mark\" \"$mark\"; while IFS= read -r line <&3; do printf '%s got %s\\n%s end\\n' \"$mark\" \"$line\" \"$mark\"; done; }\nmain 3<&0 </dev/null\nexit\n";
        let mut session = Session::open(None, script, &[]).expect("it runs");
        let mut next = || session.next().expect("it tells").expect("a part");
        assert_eq!(
            (next().kind.as_str(), next().kind.as_str()),
            ("ready", "end")
        );
        session.tell(&["a $(id) \nb", ""]);
        let mut next = || session.next().expect("it tells").expect("a part");
        assert_eq!(next().words, "a $(id) b");
        assert_eq!(next().kind, "end");
        assert_eq!(next().words, "");
    }

    #[test]
    fn a_session_that_is_dropped_takes_its_shell_with_it() {
        let mut session = Session::open(
            None,
            "printf '%s pid %s\\n%s end\\n' \"$mark\" $$ \"$mark\"; exec tail -f /dev/null",
            &[],
        )
        .expect("it runs");
        let part = session.next().expect("it tells").expect("a part");
        let pid: u32 = part.words.parse().expect("a pid");
        drop(session);
        assert_eq!(crate::here::os::process::stat(pid), None);
    }
}
