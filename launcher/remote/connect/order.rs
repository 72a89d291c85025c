//! What `ipjob up` wants: a job of this name, found in Slurm's queue or submitted. PURE.

use crate::failure::{Failure, Outcome};
use crate::here::os::text::printable;
use crate::plan::job::{self, is_number};
use crate::remote::parts::Part;
use crate::remote::queue::{Line, Phase, Queue};
use crate::remote::target::{self, Job};

/// What is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A batch script of this machine, and the name that Slurm would give to its job.
    Here { text: Vec<u8>, name: String },
    /// One of the cluster, by its path there.
    There(String),
}

/// What is wanted, and how far that is.
#[derive(Clone, Debug)]
pub struct Order {
    script: Script,
    /// The host where that is.
    host: String,
    /// sbatch's arguments.
    args: Vec<String>,
    /// Whether a job of that name that is there already counts.
    takes_old: bool,
    /// Whether a job that was submitted for it goes with us.
    pub cancels: bool,
    /// Whether somebody has asked for our end.
    pub is_left: bool,
    /// The name of the job, once it is known.
    name: Option<String>,
    queue: Option<Queue>,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It is not known yet whether there is one.
    Asking,
    /// sbatch runs.
    Submitting,
    /// Its job was submitted; where its output goes.
    Submitted(Option<String>),
    /// One was there.
    Found,
}

/// What follows from a part that was told.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The text is for the script there, which submits.
    Submit(Vec<u8>),
    /// This job is meant; what is said of it.
    Mean(Job, Vec<String>),
    /// It cannot be done.
    Fail(Failure),
}

impl Order {
    /// It is wanted on that host, with these arguments of sbatch's.
    #[must_use]
    pub fn new(script: Script, host: String, args: Vec<String>, takes_old: bool) -> Self {
        Self {
            script,
            host,
            args,
            takes_old,
            cancels: false,
            is_left: false,
            name: None,
            queue: None,
            stage: Stage::Asking,
        }
    }

    /// The path of the script, where that lies on the cluster.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.script {
            Script::Here { .. } => "",
            Script::There(path) => path,
        }
    }

    /// Whether sbatch runs: whoever does not hear its answer does not know whether there is a job.
    #[must_use]
    pub fn is_submitting(&self) -> bool {
        self.stage == Stage::Submitting
    }

    /// Whether its job is one that was submitted for it.
    #[must_use]
    pub fn has_submitted(&self) -> bool {
        matches!(self.stage, Stage::Submitted(_))
    }

    /// Where the output of its job goes.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        match &self.stage {
            Stage::Submitted(output) => output.as_deref(),
            _ => None,
        }
    }

    /// Takes one part of what the other side tells.
    pub fn take(&mut self, part: &Part, mark: &str) -> Option<Next> {
        let code = || part.words.trim().parse::<i32>().ok();
        match (part.kind.as_str(), &self.stage) {
            ("queue", Stage::Asking) if part.words == "absent" => {
                self.queue = Some(Queue::Absent);
                None
            }
            ("queue", Stage::Asking) => {
                self.queue = Some(Queue::read(code(), &part.text()));
                None
            }
            ("script", Stage::Asking) => {
                let own = part.words.rsplit('/').next().unwrap_or_default();
                self.name = Some(name_of(&part.body, own));
                None
            }
            ("no_script", Stage::Asking) => Some(Next::Fail(
                Failure::usage(format!(
                    "the batch script {} cannot be read on {}",
                    printable(&part.words),
                    self.host
                ))
                .hint("a path there begins at your home directory; a script on this machine is a separate argument: `ipjob up HOST: SCRIPT`"),
            )),
            ("asked", Stage::Asking) => Some(self.decide(mark)),
            ("submitted", Stage::Submitting) => Some(self.submitted(code(), &part.text())),
            _ => None,
        }
    }

    /// Finds the job in the queue, or has it submitted.
    fn decide(&mut self, mark: &str) -> Next {
        if let Script::Here { text, name } = &self.script {
            self.name = Some(name_of(text, name));
        }
        if let Some(given) = name_in(self.args.iter().map(String::as_str)) {
            self.name = Some(given);
        }
        let name = self.name.clone().unwrap_or_default();
        match &self.queue {
            _ if !self.takes_old => {}
            Some(Queue::Told(lines)) => {
                let is_it = |line: &&Line| {
                    line.name == printable(&name)
                        && line.phase() != Phase::Over
                        && !line.is_ending()
                };
                let found: Vec<&Line> = lines.iter().filter(is_it).collect();
                match found.as_slice() {
                    [] => {}
                    [only] => {
                        let job = job_of(only);
                        let said = format!(
                            "using job {} ({}), which is {}; --new submits another",
                            job.as_str(),
                            only.name,
                            only.state
                        );
                        self.stage = Stage::Found;
                        return Next::Mean(job, vec![said]);
                    }
                    several => return Next::Fail(self.several(&name, several)),
                }
            }
            Some(Queue::Silent(words)) => {
                return Next::Fail(
                    Failure::not_ready(format!("Slurm on {} does not show its queue", self.host))
                        .because(words)
                        .hint("nothing was submitted; try again, or submit with --new without looking for the job"),
                );
            }
            Some(Queue::Absent) | None => {
                return Next::Fail(
                    Failure::missing(format!("squeue is not on PATH on {}", self.host)).hint(
                        format!(
                            "`ssh {} squeue` must work; nothing was submitted",
                            self.host
                        ),
                    ),
                );
            }
        }
        self.stage = Stage::Submitting;
        Next::Submit(self.text(&name, mark))
    }

    fn several(&self, name: &str, lines: &[&Line]) -> Failure {
        let failure = Failure::usage(format!(
            "{} jobs on {} are called {}: name one",
            lines.len(),
            self.host,
            printable(name)
        ));
        let hinted = lines.iter().fold(failure, |failure, line| {
            failure.hint(format!(
                "`ipjob connect {}:{}` ({})",
                self.host,
                job_of(line).as_str(),
                line.state
            ))
        });
        hinted.hint("--new submits another")
    }

    /// What the script there is told: how many arguments sbatch gets, these, and the batch script, which ends with the mark.
    fn text(&self, name: &str, mark: &str) -> Vec<u8> {
        // Said once more, because a variable (SBATCH_JOB_NAME) would win over the script's own line.
        let named = format!("--job-name={name}");
        let args: Vec<&str> = self
            .args
            .iter()
            .map(String::as_str)
            .chain([named.as_str()])
            .collect();
        let mut text = format!("submit {}\n", args.len()).into_bytes();
        for arg in args {
            text.extend(arg.bytes().filter(|byte| !byte.is_ascii_control()));
            text.push(b'\n');
        }
        if let Script::Here { text: script, .. } = &self.script {
            text.extend(script);
            if !script.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        text.extend(mark.as_bytes());
        text.push(b'\n');
        text
    }

    /// sbatch has answered.
    fn submitted(&mut self, code: Option<i32>, text: &str) -> Next {
        let lines: Vec<String> = text
            .lines()
            .map(|line| printable(line.trim_end()))
            .filter(|line| !line.trim().is_empty())
            .collect();
        // With --parsable: the number, and the cluster where there are several.
        let number = lines.iter().rev().find_map(|line| {
            let number = line.split(';').next()?;
            is_number(number).then(|| number.to_owned())
        });
        // Start-up files of the login shell may have said something as well.
        let own: Vec<String> = lines
            .iter()
            .filter(|line| line.starts_with("sbatch: "))
            .cloned()
            .collect();
        let name = self.name.clone().unwrap_or_default();
        match (code, number) {
            (Some(0), Some(number)) => {
                self.stage = Stage::Submitted(None);
                let mut said = own;
                said.push(format!("submitted: job {number} ({})", printable(&name)));
                Next::Mean(Job::Id(number), said)
            }
            (code, _) => {
                let words = if own.is_empty() { lines } else { own };
                let words = words[words.len().saturating_sub(MOST_WORDS)..].join("\n       ");
                Next::Fail(match code {
                    Some(126 | 127) => Failure::missing(format!("sbatch cannot be run on {}", self.host))
                        .because(words)
                        .hint("it must be on PATH there, in a login shell"),
                    _ => Failure::not_ready(format!(
                        "sbatch on {} refuses the job {}",
                        self.host,
                        printable(&name)
                    ))
                    .because(words)
                    .hint("nothing was submitted; change the script or give sbatch's options after `--`"),
                })
            }
        }
    }

    /// Notes where the job's output goes.
    pub fn note_output(&mut self, path: &str) {
        if let (Stage::Submitted(output), true) = (&mut self.stage, path.starts_with('/')) {
            *output = Some(printable(path));
        }
    }
}

/// Lines of sbatch's words that are shown.
const MOST_WORDS: usize = 20;

fn job_of(line: &Line) -> Job {
    let name = line.job.name();
    match job::element(name) {
        Some(_) => Job::Element(name.to_owned()),
        None => Job::Id(line.job.number().to_owned()),
    }
}

/// The name of the job of a batch script: that of its #SBATCH lines, else the file's.
#[must_use]
pub fn name_of(script: &[u8], file: &str) -> String {
    let text = String::from_utf8_lossy(script);
    // sbatch reads on to the first command.
    let head = text
        .lines()
        .take_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let words: Vec<&str> = head
        .filter_map(|line| line.strip_prefix("#SBATCH"))
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .flat_map(|rest| {
            rest.split(" #")
                .next()
                .unwrap_or_default()
                .split_ascii_whitespace()
        })
        .collect();
    name_in(words.into_iter()).unwrap_or_else(|| file.to_owned())
}

/// The name that arguments of sbatch give to the job; the last one counts.
fn name_in<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut found = None;
    let mut is_next = false;
    for word in words {
        let value = match word.strip_prefix("--job-name=") {
            Some(value) => Some(value),
            None if is_next => Some(word),
            None => word.strip_prefix("-J").filter(|value| !value.is_empty()),
        };
        if let Some(value) = value {
            found = Some(value.trim_matches(['"', '\'']).to_owned());
        }
        is_next = !is_next && (word == "--job-name" || word == "-J");
    }
    found.filter(|name| !name.is_empty())
}

/// The path of a batch script on a host, of `HOST:PATH`; or why it is none.
pub fn path(host: &str, text: &str) -> Outcome<String> {
    if target::Target::read(&format!("{host}:{text}"))
        .is_ok_and(|target| matches!(target.job, Some(Job::Id(_) | Job::Element(_))))
    {
        return Err(
            Failure::usage(format!("{text} is a job, and `ipjob up` submits one"))
                .hint(format!("did you mean `ipjob connect {host}:{text}`?")),
        );
    }
    let path = text.strip_prefix("~/").unwrap_or(text);
    if path.chars().any(char::is_control) || path.starts_with('~') {
        return Err(Failure::usage(format!("{text:?} is not a path"))
            .hint("give one that begins with / or at your home directory there"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::parts::tests::part;

    fn order(takes_old: bool) -> Order {
        let script = Script::Here {
            text: b"#!/bin/sh\n#SBATCH -J mine\nexec ipjob".to_vec(),
            name: "job.sbatch".to_owned(),
        };
        Order::new(
            script,
            "daint".to_owned(),
            vec!["--time=5".to_owned()],
            takes_old,
        )
    }

    fn queue(lines: &[(&str, &str, &str)]) -> Part {
        let lines: Vec<String> = lines
            .iter()
            .map(|(id, state, name)| format!("{id}|{id}|{state}|1|N/A|N/A||ada|Priority|{name}"))
            .collect();
        part("queue", "0", &lines.join("\n"))
    }

    fn decided(order: &mut Order, lines: &[(&str, &str, &str)]) -> Next {
        assert_eq!(order.take(&queue(lines), "m4rk"), None);
        order
            .take(&part("asked", "", ""), "m4rk")
            .expect("a decision")
    }

    #[test]
    fn a_job_of_that_name_is_taken_and_another_submitted_on_demand() {
        let lines = [
            ("7", "PENDING", "mine"),
            ("8", "RUNNING", "other"),
            ("6", "COMPLETED", "mine"),
        ];
        let Next::Mean(job, said) = decided(&mut order(true), &lines) else {
            panic!("it is there");
        };
        assert_eq!(job.as_str(), "7");
        assert!(
            said[0].contains("PENDING") && said[0].contains("--new"),
            "{said:?}"
        );
        let Next::Submit(text) = decided(&mut order(false), &lines) else {
            panic!("a new one");
        };
        assert_eq!(
            String::from_utf8_lossy(&text),
            "submit 2\n--time=5\n--job-name=mine\n#!/bin/sh\n#SBATCH -J mine\nexec ipjob\nm4rk\n"
        );
        let two = [("7", "PENDING", "mine"), ("8", "RUNNING", "mine")];
        let Next::Fail(failure) = decided(&mut order(true), &two) else {
            panic!("two");
        };
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.hints[1].contains("daint:8"), "{failure:?}");
    }

    #[test]
    fn what_sbatch_answers_is_a_job_or_a_refusal_in_its_own_words() {
        let answer = |code: &str, text: &str| {
            let mut order = order(true);
            decided(&mut order, &[]);
            assert!(order.is_submitting());
            let next = order.take(&part("submitted", code, text), "m4rk");
            next.expect("an answer")
        };
        let said = vec![
            "sbatch: be nice".to_owned(),
            "submitted: job 9 (mine)".to_owned(),
        ];
        assert_eq!(
            answer("0", "welcome 12\nsbatch: be nice\n9;lab\n"),
            Next::Mean(Job::Id("9".to_owned()), said)
        );
        for (code, text, exit, words) in [
            (
                "1",
                "hello\nsbatch: error: Invalid account\u{1b}[2J\n",
                3,
                "sbatch: error: Invalid account",
            ),
            ("127", "sh: 1: exec: sbatch: not found", 4, "not found"),
            ("0", "hello", 3, "hello"),
        ] {
            let Next::Fail(failure) = answer(code, text) else {
                panic!("{text}");
            };
            assert_eq!(failure.exit_code(), exit, "{failure}");
            let cause = failure.cause.expect("its words");
            assert!(
                cause.contains(words) && !cause.contains('\u{1b}'),
                "{cause}"
            );
        }
    }

    #[test]
    fn a_script_has_the_name_that_sbatch_would_give_it() {
        for (script, name) in [
            ("#!/bin/sh\n#SBATCH --job-name=one\n", "one"),
            (
                "#!/bin/sh\n\n#SBATCH -N2 --job-name two # or not\n# x\n#SBATCH -n1\n",
                "two",
            ),
            ("#SBATCH -J\"three\"\n", "three"),
            ("#SBATCH --job-name=a\n#SBATCH -J b\n", "b"),
            ("#!/bin/sh\ntrue\n#SBATCH --job-name=late\n", "file"),
            ("##SBATCH --job-name=out\n#SBATCHx -J no\n", "file"),
            ("", "file"),
        ] {
            assert_eq!(name_of(script.as_bytes(), "file"), name, "{script}");
        }
    }

    #[test]
    fn a_path_is_no_job() {
        assert_eq!(
            path("daint", "~/a b/job.sh").ok().as_deref(),
            Some("a b/job.sh")
        );
        assert_eq!(path("daint", "job.sh").ok().as_deref(), Some("job.sh"));
        let failure = path("daint", "123").expect_err("a job");
        assert!(
            failure.hints[0].contains("connect daint:123"),
            "{failure:?}"
        );
        assert!(path("daint", "~bob/x").is_err());
    }
}
