use super::{Connect, assert_nothing_left, configure_sshd, status, views};
use crate::support::{Lab, lab::ALICE, wait_for};
use std::fs;
use std::os::unix::fs::chown;

/// A start-up file of a login shell that says something, reads what it can get, and sets what a job is to have.
const LOGIN: &str = "echo welcome; echo 4711\nread -r eaten\nexport MADE_AT_LOGIN=\"yes $eaten\"\n";

/// Puts a batch script on the laptop.
fn put(lab: &Lab, name: &str, head: &str, body: &str) {
    let text = format!("#!/bin/bash\n{head}\nPATH={}\n{body}", lab.path());
    let path = lab.laptop_home(name);
    fs::write(&path, text).expect("written");
    let own =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(lab.laptop_home("")).expect("a home"));
    chown(&path, Some(own), None).expect("given to alice");
}

fn up<'a>(lab: &'a Lab, words: &[&str]) -> Connect<'a> {
    let all: Vec<&str> = ["up"].iter().chain(words).copied().collect();
    Connect::begin(lab, "", &[], &all)
}

/// The number in a line such as `submitted: job 7 (name)`; its profile is the one that is made.
fn job_of(connect: &mut Connect, text: &str) -> String {
    let line = connect.wait_line(text);
    let words = line.split_once("job ").expect("a job").1;
    let id = words
        .split_whitespace()
        .next()
        .expect("a number")
        .to_owned();
    connect.profile = format!("job_{id}");
    id
}

fn slurm(lab: &Lab, line: &str) -> String {
    let done = lab.shell(ALICE, "login", line);
    assert_eq!(done.code, 0, "{}", done.text);
    done.text.trim().to_owned()
}

fn queued(lab: &Lab) -> String {
    slurm(lab, "squeue -h -o '%T %j' | sort")
}

#[test]
fn one_login_submits_waits_and_connects_and_a_second_up_joins() {
    let lab = needed!(Lab::up(&[]));
    configure_sshd(&lab, "login", "MaxSessions 1");
    lab.script(".bash_profile", LOGIN);
    let head = "#SBATCH -N2 --ntasks-per-node=1 --hold\n#SBATCH --job-name=mine --output=%j.out";
    let body = "  echo \"$MADE_AT_LOGIN|\\n'\" \"$(printf '%s' 'a\\tb')\" >made\nexec ipjob --mode notebook --mpi none";
    put(&lab, "job.sbatch", head, body);
    let words = ["login:", "job.sbatch"];
    let mut first = up(&lab, &words);
    let id = job_of(&mut first, "submitted: job");
    first.wait_line("the job is pending (JobHeldUser)");
    slurm(&lab, &format!("scontrol release {id}"));
    let url = first.wait_url();
    assert_eq!(status(&lab, &url), "200");
    assert_eq!(views(&lab, &first.profile), "[0, 1]");
    let logins = || lab.sshd_log("login").matches("Accepted publickey").count();
    assert_eq!(logins(), 1, "{}", lab.sshd_log("login"));
    // The script arrived as it is, and its job has what a login makes, with nothing of the script eaten.
    let made = fs::read_to_string(lab.home("made")).expect("the job made it");
    assert_eq!(made, "yes |\\n' a\\tb\n");

    let (code, second) = up(&lab, &words).finish();
    assert_eq!(code, 0, "{second}");
    assert!(
        second.contains(&format!("using job {id} (mine), which is RUNNING")),
        "{second}"
    );
    assert!(
        second.contains("connected already") && second.contains(&url),
        "{second}"
    );
    assert_eq!(queued(&lab), "RUNNING mine");
    let shown = lab.shell(ALICE, "laptop", "ipjob status login:").text;
    let row = shown.lines().nth(1).unwrap_or_default();
    assert!(
        row.starts_with(id.as_str()) && row.contains(" mine "),
        "{shown}"
    );
    let profile = first.profile.clone();
    let said = first.interrupt();
    assert!(
        said.contains(&format!("`ipjob connect login:{id}` connects to it")),
        "{said}"
    );
    assert!(
        said.contains(&format!("`ipjob stop login:{id}` cancels it")),
        "{said}"
    );
    assert_eq!(queued(&lab), "RUNNING mine");

    // From elsewhere, in the background, and with another end than Ctrl-C.
    let again = lab.shell(
        ALICE,
        "laptop",
        "ipjob up login: job.sbatch --background --cancel-on-exit",
    );
    assert_eq!(again.code, 0, "{}", again.text);
    assert!(again.text.contains("using job"), "{}", again.text);
    // It was not submitted by that one.
    let ended = lab.shell(ALICE, "laptop", "ipjob connect --disconnect");
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert_nothing_left(&lab, &profile);
    assert_eq!(queued(&lab), "RUNNING mine");
    lab.job(&id).cancel();
}

#[test]
fn a_wait_that_is_ended_leaves_the_job_or_takes_it_along() {
    let lab = needed!(Lab::up(&[]));
    put(
        &lab,
        "job.sbatch",
        "#SBATCH --hold --output=%j.out",
        "exec ipjob --mode cluster-only --mpi none -n 1",
    );
    for signal in ["INT", "TERM"] {
        let mut waiting = up(&lab, &["login:", "job.sbatch", "--cancel-on-exit", "--new"]);
        let id = job_of(&mut waiting, "submitted: job");
        waiting.wait_line("the job is pending");
        waiting.signal(signal);
        let (code, said) = waiting.finish();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("cancelled: job {id}")), "{said}");
        assert_nothing_left(&lab, &format!("job_{id}"));
        assert_eq!(queued(&lab), "");
    }
    let mut waiting = up(&lab, &["login:", "job.sbatch"]);
    let id = job_of(&mut waiting, "submitted: job");
    waiting.wait_line("the job is pending");
    let said_of_one = waiting.interrupt();
    let said = &said_of_one;
    assert!(
        said.contains(&format!("`ipjob connect login:{id}` connects to it")),
        "{said}"
    );
    // It has the name of the file, as with sbatch.
    assert_eq!(queued(&lab), "PENDING job.sbatch");
    // Two of one name must be told apart.
    let mut another = up(&lab, &["login:", "job.sbatch", "--new"]);
    let other = job_of(&mut another, "submitted: job");
    another.wait_line("the job is pending");
    let said_of_other = another.interrupt();
    let (code, said) = up(&lab, &["login:", "job.sbatch"]).finish();
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("2 jobs on login are called job.sbatch"),
        "{said}"
    );
    assert!(
        said.contains(&format!("ipjob connect login:{other}")),
        "{said}"
    );
    // What was said cancels it.
    for (job, said) in [(&id, said_of_one), (&other, said_of_other)] {
        let cancel = format!("ssh login scancel {job}");
        assert!(said.contains(&format!("`{cancel}` cancels it")), "{said}");
        assert_eq!(lab.shell(ALICE, "laptop", &cancel).code, 0);
    }
    assert_eq!(queued(&lab), "");
}

#[test]
fn what_sbatch_refuses_and_jobs_that_end_early_are_told() {
    let lab = needed!(Lab::up(&[]));
    let refused = |expected: i32, words: &[&str], told: &[&str]| {
        let (code, said) = up(&lab, words).finish();
        assert_eq!(code, expected, "{words:?}: {said}");
        for text in told {
            assert!(said.contains(text), "{text}: {said}");
        }
        assert_nothing_left(&lab, "job_none");
    };
    let own = "sbatch: error: ";
    refused(
        3,
        &["login:", "--partition", "none"],
        &["refuses the job ipjob-jupyter", own, "invalid partition"],
    );
    // Through the user's start-up files, one of which becomes another shell.
    lab.script(".bash_profile", "exec cat\n");
    refused(
        3,
        &["login:", "--template", "cluster-only", "--", "--time=x"],
        &[own, "time"],
    );
    refused(
        2,
        &["login:17"],
        &["17 is a job", "did you mean `ipjob connect login:17`"],
    );
    refused(2, &["login"], &["names no host", "write HOST:"]);
    refused(
        2,
        &["login:none.sh"],
        &["the batch script /home/alice/none.sh cannot be read on login"],
    );
    refused(
        2,
        &["login:", "none.sh"],
        &["none.sh cannot be read", "login:PATH"],
    );
    refused(6, &["nowhere.invalid:"], &["Could not resolve hostname"]);
    assert_eq!(queued(&lab), "");

    // A script of the cluster is submitted in its directory; its job ends before there is an ipjob.
    let made = slurm(
        &lab,
        "mkdir ~/project && cd ~/project && printf '#!/bin/bash\\n#SBATCH -o out-%%j\\npwd; exit 5\\n' >'early job.sh' && pwd",
    );
    let (code, said) = up(&lab, &["login:project/early job.sh"]).finish();
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("(early job.sh)") && said.contains("Slurm says FAILED"),
        "{said}"
    );
    let output = said
        .lines()
        .find_map(|line| line.split_once("the job's output on login is "));
    let output = output.unwrap_or_else(|| panic!("{said}")).1;
    assert!(output.starts_with(&made), "{output}");
    assert_eq!(slurm(&lab, &format!("cat {output}")), made);
    wait_for("the end of all jobs", || {
        queued(&lab).is_empty().then_some(())
    });
}
