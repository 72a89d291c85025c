//! Do the batch scripts of sbatch/ work as they are? Asked of bash, of ipjob, and of a real Slurm (tests/lab).

use crate::support::lab::{ALICE, Ended, SlurmJob};
use crate::support::{Lab, Place, binary};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The mode, as the command line names it, and the file that it stands for.
const TEMPLATES: [(&str, &str); 2] = [
    ("notebook", "run_jupyter.sbatch"),
    ("cluster-only", "run_ipcluster.sbatch"),
];

/// Options of a site's own Slurm plugins, which no other Slurm knows.
const PLUGINS: [&str; 2] = ["--uenv=", "--view="];

/// What the site's examples want of a cluster: the names and sizes that stand in them.
const EXAMPLE_CLUSTER: [&str; 6] = [
    "--cpus",
    "128",
    "--gpus",
    "4",
    "--slurm-conf",
    "PartitionName=PARTITION Nodes=ALL State=UP",
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sbatch")
}

fn text(file: &str) -> String {
    fs::read_to_string(directory().join(file)).expect("a template")
}

/// All scripts: the two templates and the examples of sites, as paths from sbatch/.
fn scripts() -> Vec<String> {
    let sites = fs::read_dir(directory().join("sites")).expect("examples");
    let names = sites
        .flatten()
        .map(|entry| format!("sites/{}", entry.file_name().to_string_lossy()));
    let templates = TEMPLATES.iter().map(|(_, file)| (*file).to_owned());
    let mut all: Vec<String> = templates.chain(names).collect();
    all.sort();
    all
}

/// What bash executes: no comments, no empty lines.
fn commands(script: &str) -> Vec<&str> {
    let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
    script.lines().filter(is_command).collect()
}

/// The options of all `#SBATCH` lines.
fn directives(script: &str) -> Vec<&str> {
    script
        .lines()
        .filter_map(|line| line.strip_prefix("#SBATCH "))
        .collect()
}

fn template(args: &[&str]) -> Output {
    Command::new(binary())
        .arg("template")
        .args(args)
        .output()
        .expect("ipjob starts")
}

#[test]
fn bash_can_read_every_script() {
    let all = scripts();
    assert!(all.len() >= 6, "{all:?}");
    for name in all {
        let read = Command::new("bash")
            .arg("-n")
            .arg(directory().join(&name))
            .output()
            .expect("bash");
        let faults = String::from_utf8_lossy(&read.stderr);
        assert!(
            read.status.success() && faults.is_empty(),
            "{name}: {faults}"
        );
    }
}

#[test]
fn every_script_ends_in_exec_and_asks_for_what_ipjob_needs() {
    for name in scripts() {
        let script = text(&name);
        let last = *commands(&script).last().expect("a command");
        assert!(last.starts_with("exec "), "{name}: {last}");
        assert!(
            last.contains("ipjob --mode ") && last.ends_with("\"$@\""),
            "{name}: {last}"
        );
        // As a step (exec srun) ipjob isn't the process that B: means.
        let signal = if last.starts_with("exec srun ") {
            "--signal=TERM@60"
        } else {
            "--signal=B:TERM@60"
        };
        let given = directives(&script);
        for wanted in [
            signal,
            "--no-requeue",
            "--open-mode=append",
            "--output=ipjob-%j.out",
        ] {
            assert!(given.contains(&wanted), "{name} has no {wanted}: {given:?}");
        }
        for wanted in ["--job-name=", "--nodes=", "--ntasks-per-node=", "--time="] {
            let found = given.iter().filter(|line| line.starts_with(wanted)).count();
            assert_eq!(found, 1, "{name}: {wanted} in {given:?}");
        }
        // sbatch reads none that follows a command.
        let head = script.split("\nexec ").next().expect("a head");
        let first = commands(head)
            .first()
            .and_then(|command| head.find(&format!("\n{command}")));
        let behind = first.map_or("", |at| &head[at..]);
        assert_eq!(directives(behind), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn the_program_prints_the_files_and_fills_them_in() {
    for (mode, file) in TEMPLATES {
        let plain = template(&[mode]);
        assert_eq!(plain.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&plain.stdout), text(file));
        let filled = template(&[mode, "--nodes=7", "--account", "s1042", "--no-kill"]);
        let script = String::from_utf8_lossy(&filled.stdout).into_owned();
        let given = directives(&script);
        for wanted in ["--nodes=7", "--account=s1042", "--no-kill", "--no-requeue"] {
            assert!(given.contains(&wanted), "{wanted} in {given:?}");
        }
        assert_eq!(commands(&script), commands(&text(file)));
    }
}

#[test]
fn garbage_is_refused_by_name_and_nothing_is_printed() {
    for (option, value) in [
        ("--account", "me\n#SBATCH --nodes=1000"),
        ("--account", ""),
        ("--partition", "a b"),
        ("--constraint", "a\tb"),
        ("--gres", "gpu:4 # all"),
        ("--gres", "\u{1b}]0;title\u{7}"),
        ("--time", "two hours"),
        ("--time", "10\ntouch me"),
        ("--nodes", "0"),
        ("--nodes", "-1"),
        ("--ntasks-per-node", "many"),
    ] {
        let refused = template(&["notebook", &format!("{option}={value}")]);
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{option} {value:?}: {words}"
        );
        assert!(words.contains(option), "{words}");
        assert!(refused.stdout.is_empty(), "{option} {value:?}");
    }
}

#[test]
fn the_settings_of_a_site_do_not_stand_in_the_way() {
    let place = Place::empty();
    let printed = place
        .ipjob(["template", "cluster-only"])
        .env("IPJOB_MODE", "notebook")
        .env("IPJOB_FRONTEND", "notebook")
        .env("IPJOB_PORT_RANGE", "8000-8100")
        .output()
        .expect("ipjob starts");
    assert_eq!(
        String::from_utf8_lossy(&printed.stdout),
        text("run_ipcluster.sbatch")
    );
}

#[test]
fn slurm_takes_every_line() {
    let lab = needed!(Lab::up(&EXAMPLE_CLUSTER));
    let features = lab
        .on("root", "ctl")
        .args(["scontrol", "update", "NodeName=node[1-2]"])
        .args(["AvailableFeatures=FEATURE", "ActiveFeatures=FEATURE"])
        .output()
        .expect("lab runs");
    assert!(features.status.success(), "{features:?}");
    let accepted = |name: &str, script: &str| {
        let path = lab.script("script.sbatch", script);
        let line = format!("sbatch --verbose --test-only {}", path.display());
        let done = lab.shell(ALICE, "login", &line);
        assert_eq!(done.code, 0, "{name}: {}\n{script}", done.text);
        done.text
    };
    for name in scripts() {
        let script = text(&name);
        let known = |line: &&str| !PLUGINS.iter().any(|option| line.contains(option));
        let lines: Vec<&str> = script.lines().filter(known).collect();
        accepted(&name, &(lines.join("\n") + "\n"));
    }
    for (mode, _) in TEMPLATES {
        let filled = template(&[
            mode,
            "--nodes=1",
            "--ntasks-per-node=32",
            "--time=1-12:30",
            "--account=s1042",
            "--partition=PARTITION",
            "--constraint=[FEATURE*1]",
            "--gres=gpu:3",
            "--no-kill",
        ]);
        let script = String::from_utf8(filled.stdout).expect("text");
        // sbatch tells what it understood, one option a line: `sbatch: account             : s1042`.
        let told = accepted(mode, &script);
        for (option, value) in [
            ("account", "s1042"),
            ("partition", "PARTITION"),
            ("constraint", "[FEATURE*1]"),
            ("gres", "gres:gpu:3"),
            ("ntasks-per-node", "32"),
            ("time", "1-12:30:00"),
            ("no-kill", "set"),
        ] {
            let is_it = |line: &str| {
                let words = line.strip_prefix("sbatch:").unwrap_or(line);
                let (name, found) = words.split_once(':').unwrap_or_default();
                // `gres:gpu:3` of 22.05 is `gres/gpu:3` later.
                name.trim() == option && found.trim().replace("gres/", "gres:") == value
            };
            let understood = told.lines().any(is_it);
            assert!(understood, "{option} is not {value}: {told}");
        }
    }
}

/// Submits as alice on the login node, by a shell line that prints the job's id.
fn submitted<'a>(lab: &'a Lab, line: &str) -> SlurmJob<'a> {
    let done = lab.shell(ALICE, "login", &format!("set -o pipefail; {line}"));
    assert_eq!(done.code, 0, "{}", done.text);
    lab.job(done.text.trim())
}

/// What the job wrote, where the templates put it.
fn output(lab: &Lab, job: &SlurmJob) -> String {
    fs::read_to_string(lab.home(format!("ipjob-{}.out", job.id))).unwrap_or_default()
}

/// Checks the ready job: so many engines on each node, id = rank, and ipjob in the place of the batch script.
fn assert_stands(lab: &Lab, job: &SlurmJob, per_node: u64, nodes: &[&str]) -> Value {
    let record = job.wait_state("ready");
    let engines = record["engines"]["list"].as_array().expect("engines");
    let found: Vec<(Option<u64>, Option<u64>, Option<&str>)> = engines
        .iter()
        .map(|engine| {
            let node = engine["node"].as_str();
            (engine["id"].as_u64(), engine["rank"].as_u64(), node)
        })
        .collect();
    let wanted: Vec<(Option<u64>, Option<u64>, Option<&str>)> = nodes
        .iter()
        .flat_map(|node| (0..per_node).map(move |_| *node))
        .zip(0..)
        .map(|(node, rank)| (Some(rank), Some(rank), Some(node)))
        .collect();
    assert_eq!(found, wanted, "{record:#}");
    let pid = record["incarnation"]["pid"].as_u64().expect("a pid");
    let line = format!("cat /proc/{pid}/comm; ps -o comm= -p $(ps -o ppid= -p {pid})");
    let family = lab.shell(ALICE, nodes[0], &line).text;
    assert_eq!(
        family.split_whitespace().collect::<Vec<_>>(),
        ["ipjob", "slurmstepd"]
    );
    record
}

fn assert_cancelled_in_order(lab: &Lab, job: &SlurmJob) -> Ended {
    let ended = job.cancel();
    let told = output(lab, job);
    assert_eq!(ended.state, "CANCELLED", "{told}");
    assert!(told.contains("nothing is left running"), "{told}");
    ended
}

#[test]
fn both_templates_run_as_they_are_and_end_in_order() {
    let lab = needed!(Lab::up(&[]));
    for (_, file) in TEMPLATES {
        lab.script(file, &text(file));
    }
    let jupyter = submitted(
        &lab,
        "sbatch --parsable --ntasks-per-node=3 run_jupyter.sbatch",
    );
    let record = assert_stands(&lab, &jupyter, 3, &["node1", "node2"]);
    let token = record["token"].as_str().expect("a token");
    let told = output(&lab, &jupyter);
    assert!(told.contains("ready: 6 engines"), "{told}");
    assert!(!told.contains(token), "others may read the output: {told}");
    let url = record["url"]
        .as_str()
        .expect("a url")
        .replace("/lab?", "/api/status?");
    let get = format!("import urllib.request as r; print(r.urlopen({url:?}).status)");
    assert_eq!(lab.python("login", &get), "200");
    assert_cancelled_in_order(&lab, &jupyter);

    let cluster = submitted(
        &lab,
        "sbatch --parsable --ntasks-per-node=3 run_ipcluster.sbatch",
    );
    let record = assert_stands(&lab, &cluster, 3, &["node1", "node2"]);
    assert_eq!(record["token"], Value::Null);
    let sum = format!(
        "import ipyparallel as ipp; rc = ipp.Client(profile='job_{}'); print(rc[:].apply_sync(lambda: \
         __import__('mpi4py.MPI').MPI.COMM_WORLD.allreduce(1)))",
        cluster.id
    );
    assert_eq!(lab.python("login", &sum), "[6, 6, 6, 6, 6, 6]");
    assert_cancelled_in_order(&lab, &cluster);
}

#[test]
fn what_follows_the_scripts_name_reaches_ipjob() {
    let lab = needed!(Lab::up(&[]));
    lab.script("run_ipcluster.sbatch", &text("run_ipcluster.sbatch"));
    lab.script(
        "driver.py",
        "import ipyparallel as ipp, os, sys\n\
         rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])\n\
         print('the driver sees', len(rc), sys.argv[1:], flush=True)\n\
         sys.exit(5)\n",
    );
    let job = submitted(
        &lab,
        "sbatch --parsable --nodes=1 run_ipcluster.sbatch -n 2 -- python3 driver.py 'two words'",
    );
    let ended = job.finish();
    let told = output(&lab, &job);
    assert_eq!((ended.state.as_str(), ended.code), ("FAILED", 5), "{told}");
    assert!(told.contains("the driver sees 2 ['two words']"), "{told}");
    job.assert_nothing_left();
}

#[test]
fn a_printed_script_can_be_piped_to_sbatch() {
    let lab = needed!(Lab::up(&[]));
    let job = submitted(
        &lab,
        "ipjob template notebook --nodes 1 --ntasks-per-node 2 --time 5 | sbatch --parsable",
    );
    assert_stands(&lab, &job, 2, &["node1"]);
    let shown = lab
        .shell(ALICE, "login", &format!("scontrol show job {}", job.id))
        .text;
    for wanted in ["TimeLimit=00:05:00", "JobName=ipjob-jupyter", "Requeue=0"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    assert_cancelled_in_order(&lab, &job);
}
