//! What is written about the record holds for real records, and what is documented runs.

mod pictures;
mod site;
mod slurm;

use crate::support::{Job, Place, binary, program};
use jsonschema::Validator;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

fn document(name: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).ok()
}

fn schema() -> Value {
    let text = document("docs/ipjob.schema.json").expect("the schema");
    serde_json::from_str(&text).expect("JSON")
}

/// The schema with every object closed: a field that it does not know is then an error.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            for value in fields.values_mut() {
                *value = closed(value.take());
            }
            if fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(values) => {
            for value in values {
                *value = closed(value.take());
            }
        }
        _ => {}
    }
    schema
}

fn validator(schema: &Value) -> Validator {
    jsonschema::meta::validate(schema).expect("a valid schema");
    jsonschema::validator_for(schema).expect("a usable schema")
}

/// What is wrong with a record, and where.
fn faults(validator: &Validator, record: &Value) -> Vec<String> {
    validator
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn assert_valid(record: &Value, state: &str) {
    assert_eq!(record["state"], state);
    let schema = closed(schema());
    assert_eq!(faults(&validator(&schema), record), [""; 0], "{record:#}");
}

fn job(place: &Place, mode: &str, mood: &[(&str, &str)], options: &[&str]) -> Job {
    let args = ["--mode", mode, "-n", "2"];
    let mut command = place.ipjob(args.iter().chain(options));
    command.envs(mood.iter().copied());
    Job::spawn(place, "job_local", command)
}

#[test]
fn a_record_is_what_the_schema_says_in_every_state() {
    for mode in ["notebook", "cluster-only"] {
        let place = Place::with_fakes();
        let options = ["--stop-timeout", "1h"];
        let mut job = job(&place, mode, &[("FAKE_CONTROLLER", "deaf")], &options);
        let ready = job.wait_ready();
        assert_valid(&ready, "ready");
        let pid = ready["engines"]["list"][1]["pid"].as_i64().expect("a pid");
        let pid = i32::try_from(pid).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
        assert_valid(&job.wait_state(&["degraded"]), "degraded");
        job.signal(Signal::SIGINT);
        assert_valid(&job.wait_state(&["stopping"]), "stopping");
        job.signal(Signal::SIGINT);
        job.finish();
        assert_valid(&job.record().expect("a record"), "ended");
    }
}

#[test]
fn a_record_is_what_the_schema_says_while_it_starts_and_after_a_failed_start() {
    for (mode, mood) in [
        ("notebook", ("FAKE_JUPYTER", "no-answer")),
        ("cluster-only", ("FAKE_ENGINE", "silent:1")),
    ] {
        let place = Place::with_fakes();
        let mut job = job(&place, mode, &[mood], &["--start-timeout", "1h"]);
        assert_valid(&job.wait_state(&["starting"]), "starting");
        job.wait_line("controller ready");
        assert_valid(&job.record().expect("a record"), "starting");
        job.stop();
        assert_valid(&job.record().expect("a record"), "ended");
    }
    let place = Place::with_fakes();
    let mut job = job(&place, "notebook", &[("FAKE_CONTROLLER", "exit")], &[]);
    assert_eq!(job.finish().0, 3);
    let record = job.record().expect("a record");
    assert_valid(&record, "ended");
    assert_eq!(record["exit"], 3);
}

#[test]
fn the_schema_is_strict_and_readers_need_not_be() {
    let place = Place::with_fakes();
    let mut job = job(&place, "notebook", &[], &[]);
    let good = job.wait_ready();
    job.stop();
    let open = validator(&schema());
    let strict = validator(&closed(schema()));
    let mut newer = good.clone();
    newer["new"] = json!(1);
    newer["engines"]["new"] = json!(1);
    newer["engines"]["list"][0]["new"] = json!(1);
    assert_eq!(faults(&open, &newer), [""; 0]);
    assert_eq!(faults(&strict, &newer).len(), 3);
    for (field, wrong) in [
        ("/version", json!(2)),
        ("/state", json!("fine")),
        ("/state", json!("ended")),
        ("/mode", json!("cluster-only")),
        ("/token", Value::Null),
        ("/token", json!("short")),
        ("/port", json!(0)),
        ("/exit", json!(0)),
        ("/reason", json!("none")),
        ("/updated", json!("yesterday")),
        ("/profile/dir", json!("relative")),
        ("/controller/pid", Value::Null),
        ("/engines/missing", json!([1])),
        ("/hindered/jupyter", json!("8 of 8 descriptors in use")),
        ("/engines/list/0/pid", json!(0)),
        ("/timeline/0/at", json!(-1)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(field).expect("a field") = wrong;
        assert_ne!(faults(&open, &bad), [""; 0], "{field} is not checked");
    }
    for field in good.as_object().expect("an object").keys() {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(field);
        assert_ne!(faults(&open, &bad), [""; 0], "{field} may be missing");
    }
}

/// The fields of an object's schema by their paths: `engines.list[].pid`.
fn fields(schema: &Value, above: &str, found: &mut BTreeSet<String>) {
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{name}");
        fields(part, &format!("{path}."), found);
        fields(&part["items"], &format!("{path}[]."), found);
        found.insert(path);
    }
}

/// The fields that the tables of a section tell of.
fn told_in(page: &str, section: &str) -> BTreeSet<String> {
    let heading = format!("\n## {section}\n");
    let text = page.split_once(&heading).expect("the section").1;
    text.lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect()
}

/// Every field of a JSON value by its path, those of an array's objects behind `[]`.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, part) in object {
                let path = [path, name].concat();
                found.insert(path.clone());
                paths(part, &format!("{path}."), found);
            }
        }
        Value::Array(parts) => {
            for part in parts {
                paths(part, &format!("{}[].", path.trim_end_matches('.')), found);
            }
        }
        _ => {}
    }
}

#[test]
fn prose_tells_of_every_field_that_status_and_detach_print() {
    let place = Place::with_fakes();
    let prose = document("docs/connection-file.md").expect("the prose");
    let printed = |args: &[&str], expected: i32| -> Value {
        let output = place.ipjob(args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let detach = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--bind",
        "cpu",
        "--detach",
        "--json",
    ];
    let mut found = BTreeSet::new();
    paths(&printed(&detach, 0), "", &mut found);
    let jobs = printed(&["status", "--json"], 0);
    // One is there already.
    let failed = printed(&[&detach[..], &["--profile", "job_local"]].concat(), 4);
    printed_nothing(place.ipjob(["stop", "job_local"]).output());
    paths(&failed, "", &mut found);
    // Where it was not even begun, there is none.
    assert_eq!(found, told_in(&prose, "What `--detach --json` prints"));
    let mut found = BTreeSet::new();
    paths(&jobs[0], "", &mut found);
    // Without Slurm these are null.
    let of_slurm = ["slurm.id", "slurm.reason", "slurm.start", "slurm.state"];
    found.extend(of_slurm.map(str::to_owned));
    assert_eq!(found, told_in(&prose, "What `ipjob status --json` prints"));
}

fn printed_nothing(output: std::io::Result<Output>) {
    let output = output.expect("it runs");
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
}

#[test]
fn prose_and_schema_tell_of_the_same_fields() {
    let mut known = BTreeSet::new();
    fields(&schema(), "", &mut known);
    assert!(known.len() > 40, "{known:?}");
    let prose = document("docs/connection-file.md").expect("the prose");
    assert_eq!(told_in(&prose, "The fields"), known);
    for state in schema()["properties"]["state"]["enum"]
        .as_array()
        .expect("states")
    {
        let row = format!("\n| `{}` |", state.as_str().expect("text"));
        assert!(prose.contains(&row), "no {row}");
    }
}

/// The one block of that language in a document.
fn block(text: &str, language: &str) -> String {
    let fence = format!("\n```{language}\n");
    let mut blocks = text.split(&fence).skip(1);
    let block = blocks.next().expect("a block");
    assert!(blocks.next().is_none(), "one block of {language}");
    block.split_once("\n```").expect("its end").0.to_owned()
}

/// Runs the examples of the document at this place: Python's and, where jq is, the shell's.
fn examples(place: &Place) -> Vec<Output> {
    let prose = document("docs/connection-file.md").expect("the prose");
    let python = place
        .command("/usr/bin/python3")
        .args(["-c", &block(&prose, "python")])
        .output();
    let mut outputs = vec![python.expect("Python")];
    if program(&["/usr/bin"], &["jq"]).is_ok() {
        let shell = place
            .command("/bin/sh")
            .args(["-c", &block(&prose, "sh")])
            .output();
        outputs.push(shell.expect("a shell"));
    }
    outputs
}

#[test]
fn the_examples_read_a_real_record() {
    let place = Place::with_fakes();
    let mut job = job(&place, "notebook", &[], &[]);
    let record = job.wait_ready();
    let word = |field: &str| record[field].as_str().expect("text").to_owned();
    let expected = [
        format!("{} 2\n", word("url")),
        format!("{} {} {}\n", word("host"), record["port"], word("token")),
    ];
    for (output, expected) in examples(&place).iter().zip(expected) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    job.stop();
    for (output, told) in examples(&place).iter().zip(["SIGTERM", "ended"]) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(errors.contains(told), "no {told:?} in {errors}");
    }
    // A record that nobody refreshes any more.
    let path = job.profile().join("ipjob.json");
    let mut dead = record.clone();
    dead["updated"] = json!("2026-01-01T00:00:00Z");
    fs::write(&path, dead.to_string()).expect("a record");
    for output in examples(&place) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(errors.contains("the job has died"), "{errors}");
    }
}

#[test]
fn the_page_for_programs_has_the_exit_codes_of_the_manual() {
    let page = document("docs/programs.md").expect("the page");
    let help = std::process::Command::new(binary())
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let table = help.split_once("Exit codes:\n").expect("the table").1;
    let rows: Vec<(&str, &str)> = table
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split_once("  "))
        .collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for (code, meaning) in rows {
        // A row of a table or of a list, whatever its cells are set in.
        let told = page.lines().any(|line| {
            let cells = line.trim_start_matches(|char| "|-* `".contains(char));
            cells.strip_prefix(code).is_some_and(|rest| {
                rest.starts_with(|char| " `|:".contains(char)) && rest.contains(meaning)
            })
        });
        assert!(told, "no {code} {meaning:?} in docs/programs.md");
    }
}

/// The lines of all blocks of that language in a document, block by block.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split_once("\n```").expect("its end").0.to_owned())
        .collect()
}

/// The pages that show a newcomer what to type, whole.
const FIRST_PAGES: &[&str] = &["README.md", "docs/start.md", "docs/programs.md"];

/// The starts of jobs that a page shows, in its blocks and its prose; one with `...` in it is no whole one.
fn starts(page: &str) -> Vec<String> {
    let shell = blocks(page, "sh");
    let lines = shell.iter().flat_map(|block| block.lines());
    let lines = lines.map(|line| line.split('#').next().unwrap_or_default());
    let prose = page.split("\n```").step_by(2);
    let spans = prose.flat_map(|part| part.split('`').skip(1).step_by(2));
    let starts = lines.chain(spans).filter(|words| !words.contains("..."));
    starts
        .filter_map(|words| words.strip_prefix("ipjob --mode "))
        .map(|words| format!("--mode {words}"))
        .collect()
}

#[test]
fn the_commands_of_the_first_pages_are_taken_and_their_python_compiles() {
    let place = Place::with_fakes();
    place.link_fake("jupyter-lab", "jupyter-notebook");
    place.script("python", "exit 1");
    let mut tried = 0;
    let mut snippets = Vec::new();
    for page in FIRST_PAGES {
        let text = document(page).expect("the page");
        for line in starts(&text) {
            let output = place
                .ipjob(line.split_ascii_whitespace())
                .env("IPJOB_DRY_RUN", "1")
                .output()
                .expect("it runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}: {line}: {errors}");
            tried += 1;
        }
        snippets.extend(blocks(&text, "python"));
    }
    assert!(tried >= 10, "only {tried} commands");
    assert!(snippets.len() >= 3, "{snippets:?}");
    for snippet in snippets {
        let output = place
            .command("/usr/bin/python3")
            .args([
                "-c",
                "import sys; compile(sys.argv[1], 'a page', 'exec')",
                &snippet,
            ])
            .output()
            .expect("Python");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{snippet}: {errors}");
    }
}

/// A line of ipjob's without what differs from run to run: numbers, the job's name, addresses, where the home is.
fn shape(line: &str) -> String {
    let line = line.trim_start_matches("^C").replace("job_local", "");
    let words = line.split_ascii_whitespace();
    let words = words.map(|word| match word {
        word if word.contains("://") => "ADDRESS".to_owned(),
        word => {
            let word = word.find("/.ipython").map_or(word, |home| &word[home..]);
            word.replace(|char: char| char.is_ascii_digit(), "")
        }
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[test]
fn the_transcript_of_the_readme_is_what_a_job_prints() {
    let readme = document("README.md").expect("the README");
    let transcript = blocks(&readme, "text").swap_remove(0);
    let (command, shown) = transcript.split_once('\n').expect("lines");
    let place = Place::with_fakes();
    let words = command.strip_prefix("$ ipjob ").expect("a command");
    let command = place.ipjob(words.split_ascii_whitespace());
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    job.signal(Signal::SIGINT);
    let (code, printed) = job.finish();
    assert_eq!(code, 0, "{printed}");
    let printed: BTreeSet<String> = printed.lines().map(shape).collect();
    for line in shown.lines() {
        assert!(printed.contains(&shape(line)), "{line:?} of {printed:#?}");
    }
}

#[test]
fn the_transcript_of_a_restart_is_what_it_prints() {
    let page = document("docs/laptop-jobs.md").expect("the page");
    let transcripts = blocks(&page, "text");
    let restart = transcripts
        .iter()
        .find_map(|block| block.strip_prefix("$ ipjob restart "));
    let (_, shown) = restart.expect("a restart").split_once('\n').expect("lines");
    let place = Place::with_fakes();
    let mut job = job(&place, "notebook", &[], &[]);
    job.wait_ready();
    let output = place.ipjob(["restart", "job_local"]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let printed: BTreeSet<String> = printed.lines().map(shape).collect();
    for line in shown.lines() {
        assert!(printed.contains(&shape(line)), "{line:?} of {printed:#?}");
    }
    job.stop();
}

/// All pages for people, as paths from the project's root with their texts; `docs/design` alone where that is asked.
fn pages(directories: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for directory in directories {
        let entries = fs::read_dir(root.join(directory)).expect("a directory");
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("text");
                pages.push((path.strip_prefix(root).expect("inside").to_owned(), text));
            }
        }
    }
    assert!(pages.len() > 2, "{directories:?}");
    pages
}

const DESIGN: &str = "docs/design";

/// Where README, CONTRIBUTING and the pages of docs/ are.
const PAGES: &[&str] = &["", "docs", DESIGN];

#[test]
fn every_subcommand_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<String> = pages(PAGES).into_iter().map(|(_, text)| text).collect();
    for entry in fs::read_dir(root.join("sbatch"))
        .expect("a directory")
        .flatten()
    {
        texts.extend(fs::read_to_string(entry.path()));
    }
    let place = Place::empty();
    let mut named = BTreeSet::new();
    // Set as code: in prose, `ipjob` is followed by any word.
    for text in &texts {
        for rest in text.split("`ipjob ").skip(1) {
            let word = rest.split(|char: char| !char.is_ascii_lowercase()).next();
            named.extend(word.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    assert!(named.len() >= 4, "{named:?}");
    for word in named {
        let output = place
            .ipjob([word.as_str(), "--help"])
            .output()
            .expect("it runs");
        let help = String::from_utf8_lossy(&output.stdout);
        let known = output.status.success() && help.contains(&format!("ipjob {word}"));
        assert!(known, "ipjob {word}: {help}");
    }
}

/// The text of all files below a directory of sources.
pub fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let texts = entries.map(|entry| match entry.path() {
        // What a Python leaves that a test ran with one of them.
        path if path.ends_with("__pycache__") => String::new(),
        path if path.is_dir() => sources(&path),
        path => fs::read_to_string(path).expect("text"),
    });
    texts.collect()
}

#[test]
fn every_message_that_troubleshooting_quotes_is_one_of_ours() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launcher"));
    let page = document("docs/troubleshooting.md").expect("the page");
    let messages: Vec<&str> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0))
        .collect();
    assert!(messages.len() > 10, "{messages:?}");
    for message in messages {
        // Names and numbers of the example are holes in the source, so three words in a row must be there, anywhere.
        let words: Vec<&str> = message.split(' ').collect();
        let found = words
            .windows(3)
            .any(|part| sources.contains(&part.join(" ")));
        assert!(found, "no source says {message:?}");
    }
}

/// What leads elsewhere: the targets of `[words](target)`.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("\n```").step_by(2);
    prose
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .collect()
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("\n```").step_by(2);
    prose
        .flat_map(str::lines)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter_map(|char| match char {
                ' ' => Some('-'),
                '-' | '_' => Some(char),
                char => char.is_alphanumeric().then_some(char),
            });
            kept.collect()
        })
        .collect()
}

/// What is wrong with the links of a page.
fn dead_links(page: &Path, text: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside = links(text)
        .into_iter()
        .filter(|link| !link.starts_with("http"));
    inside
        .filter(|link| {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root.join(page),
                file => root.join(page).with_file_name("").join(file),
            };
            let anchored = anchor.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            !(target.exists() && anchored)
        })
        .map(|link| format!("{}: {link}", page.display()))
        .collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let sample = "[a](architecture.md) [b](none.md)\n[c](architecture.md#none) [d](#none)\n";
    assert_eq!(dead_links(Path::new("docs/x.md"), sample).len(), 3);
    let dead: Vec<String> = pages(PAGES)
        .iter()
        .flat_map(|(page, text)| dead_links(page, text))
        .collect();
    assert_eq!(dead, [""; 0]);
}

/// The files and directories of the project that a text names as code, but for those that are made.
fn named_paths(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    words
        .filter(|word| {
            let ours = ["launcher/", "tests/", "sbatch/", "docs/"];
            ours.iter().any(|part| word.starts_with(part)) && !word.contains([' ', '*', '<'])
        })
        .collect()
}

#[test]
fn every_file_of_the_project_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(named_paths("a `tests/x.rs` b"), ["tests/x.rs"]);
    let mut pages = pages(PAGES);
    // What changed once may be gone by now.
    pages.retain(|(page, _)| !page.ends_with("CHANGELOG.md"));
    let missing: Vec<String> = pages
        .iter()
        .flat_map(|(page, text)| {
            let missing = named_paths(text)
                .into_iter()
                .filter(|path| !root.join(path).exists());
            missing.map(|path| format!("{}: {path}", page.display()))
        })
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_way_to_an_answer_leads_to_items_that_are_there() {
    let page = document("docs/architecture.md").expect("the page");
    let (_, table) = page.split_once("## Find your way\n").expect("the table");
    let mut found = 0;
    for place in table.split("`launcher/").skip(1) {
        let (path, rest) = place.split_once('`').expect("a path");
        let source = document(&format!("launcher/{path}")).expect(path);
        let Some(items) = rest.strip_prefix(" (") else {
            break; // the table is over
        };
        let (items, _) = items.split_once(')').expect("items");
        for item in items.split(", ").map(|item| item.trim_matches('`')) {
            let of_kind = |kind: &&str| source.contains(&format!("{kind} {item}"));
            let kinds = ["fn", "struct", "enum"];
            assert!(kinds.iter().any(of_kind), "{path}: {item}");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} items");
}

/// The heads of all sources: what a Rust file says in `//!`, a Python file in its docstring.
fn heads(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let heads = entries.map(|entry| match entry.path() {
        path if path.ends_with("__pycache__") => String::new(),
        path if path.is_dir() => heads(&path),
        path => {
            let text = fs::read_to_string(path).expect("text");
            if let Some(text) = text.strip_prefix("\"\"\"") {
                return text.split("\"\"\"").take(1).collect();
            }
            let lines = text.lines().take_while(|line| line.starts_with("//!"));
            lines.flat_map(|line| [line, "\n"]).collect()
        }
    });
    heads.collect()
}

#[test]
fn every_design_is_linked_from_the_module_that_it_explains_and_is_easy_to_read() {
    let heads = heads(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launcher"));
    let architecture = document("docs/architecture.md").expect("the page");
    let linked = links(&architecture);
    for (page, text) in pages(&[DESIGN]) {
        let path = page.display().to_string();
        assert!(heads.contains(&path), "no head of a module names {path}");
        let link = path.strip_prefix("docs/").expect("inside");
        assert!(
            linked.contains(&link),
            "architecture.md leads not to {path}"
        );
        let wide = text.lines().find(|line| line.chars().count() > 120);
        assert_eq!(wide, None, "{path} has lines of more than 120 columns");
    }
    for head in heads.split_ascii_whitespace() {
        if let Some(page) = head.strip_prefix("docs/") {
            let path = format!("docs/{}", page.trim_end_matches(['.', ',', ':', ')']));
            assert!(document(&path).is_some(), "a head names {path}");
        }
    }
}
