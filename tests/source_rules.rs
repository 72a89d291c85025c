//! Rules about the sources that no lint can say. Each is a function from a file's path and text to its faults, shown on a
//! bad sample first, because a rule that finds nothing may just not look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of the program; each uses only those before it. `lib.rs` shows the same map.
const PARTS: &[&str] = &[
    "failure",
    "plan",
    "record",
    "here",
    "report",
    "supervisor",
    "engine",
    "cli",
    "run",
    "doctor",
    "remote",
    "lib",
    "main",
];

/// The rooms of `here`; each uses only those before it.
const ROOMS: &[&str] = &["os", "site", "profile"];

/// The longest a source file may be. A file holds a type and all of it; one that is longer is more than one type.
const LONGEST: usize = 700;

/// What judges, of the part that runs elsewhere.
const PURE_REMOTE: &[&str] = &[
    "inside/ending",
    "inside/entry",
    "inside/environment",
    "inside/place",
    "job_state",
    "jobs",
    "queue",
    "target",
];

/// What the deciding parts must not know.
const IMPURE: &[&str] = &[
    "tokio",
    "nix::",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::time",
    "std::thread",
];

/// The files of connect that decide, with what is below them.
const PURE_OF_CONNECT: &[&str] = &[
    "endpoints",
    "event",
    "facts",
    "machine",
    "ssh",
    "ssh_errors",
];

/// What writes to stdout or stderr.
const PRINTS: &[&str] = &[
    "print!(",
    "println!(",
    "eprint!(",
    "eprintln!(",
    "dbg!(",
    "io::stdout",
    "io::stderr",
];

/// All files with one of these endings below a directory of the project, as paths from its root.
fn files(directory: &str, endings: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(directory)];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                open.push(path);
            } else if endings.contains(&extension.as_ref()) {
                found.push(path.strip_prefix(root).expect("inside").to_owned());
            }
        }
    }
    assert!(!found.is_empty(), "no files in {directory}");
    found
}

/// The sources of the program, without the files that only hold their tests: those may be long, and ask for variables.
fn sources() -> Vec<PathBuf> {
    let mut sources = files("launcher", &["rs"]);
    sources.retain(|path| !path.ends_with("tests.rs"));
    sources
}

/// Checks a rule on a bad sample, then on all files.
fn hold(files: &[PathBuf], rule: impl Fn(&Path, &str) -> Vec<String>, path: &str, bad: &[&str]) {
    for sample in bad {
        let found = rule(Path::new(path), sample);
        assert_eq!(found.len(), 1, "the rule does not see {sample:?}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let faults: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(root.join(path)).expect("text");
            rule(path, &text)
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The lines that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Lines that have one of these words, which must not be the end of a longer one.
fn lines_with(path: &Path, text: &str, words: &[&str]) -> Vec<String> {
    code(text)
        .filter(|(_, line)| {
            words.iter().any(|word| {
                line.match_indices(word).any(|(at, _)| {
                    !line[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_')
                })
            })
        })
        .map(|(number, line)| format!("{}:{number}: {}", path.display(), line.trim()))
        .collect()
}

#[test]
fn what_decides_is_pure() {
    let deciding: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| {
            path.starts_with("launcher/plan")
                // What makes the schema from it only runs as a test, and writes a file.
                || (path.starts_with("launcher/record") && !path.ends_with("schema.rs"))
                || path.starts_with("launcher/supervisor/machine")
                || path == Path::new("launcher/supervisor/machine.rs")
                || path == Path::new("launcher/supervisor/event.rs")
                || PURE_OF_CONNECT.iter().any(|name| {
                    path.starts_with("launcher/remote/connect")
                        && path
                            .with_extension("")
                            .components()
                            .nth(3)
                            .is_some_and(|part| part.as_os_str() == *name)
                })
                || PURE_REMOTE
                    .iter()
                    .any(|part| path.with_extension("") == Path::new("launcher/remote").join(part))
        })
        .collect();
    assert!(deciding.len() > 15, "{deciding:?}");
    let grouped = [
        "use std::{fs, path::Path};",
        "use std::{\n    time::Instant,\n};",
    ];
    let rule = |path: &Path, text: &str| {
        let mut faults = lines_with(path, text, IMPURE);
        // A group is refused as a whole: rustfmt and this project write one path a line.
        faults.extend(lines_with(path, text, &["use std::{", "use nix::{"]));
        faults
    };
    hold(&deciding, rule, "launcher/plan/x.rs", &grouped);
    hold(
        &deciding,
        rule,
        "launcher/plan/x.rs",
        &[
            "use std::time::Instant;",
            "    let now = std::time::Instant::now();",
            "use tokio::time;",
            "use nix::unistd::getpid;",
        ],
    );
}

/// What looks for words in a text.
const READS_TEXT: &[&str] = &[
    ".contains(\"",
    ".starts_with(\"",
    ".ends_with(\"",
    ".strip_prefix(\"",
    ".strip_suffix(\"",
    ".split_once(\"",
    ".find(\"",
    " == \"",
    " != \"",
];

/// What asks a failure for its texts in order to decide by them; its `kind` and `about` are for that.
const DECIDES_BY_TEXT: &[&str] = &[
    "message ==",
    "message.contains(",
    "message.starts_with(",
    "message.ends_with(",
    "hint ==",
    "hints.contains(",
    "hints.iter().any(",
    "cause ==",
    "cause.as_deref() ==",
    "cause.contains(",
    "to_string().contains(",
    "to_string().starts_with(",
    "to_string().ends_with(",
];

/// The text of a source without its tests, which come last.
fn product(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| {
        text[*at..]
            .lines()
            .nth(1)
            .is_some_and(|line| line.ends_with('{'))
    });
    tests.map_or(text, |(at, _)| &text[..at])
}

/// The text of a source without its tests, and with each chain of calls on one line.
fn without_tests(text: &str) -> String {
    let mut joined = String::new();
    for line in product(text).lines() {
        match line.trim_start() {
            call if call.starts_with('.') => joined.push_str(call),
            _ => {
                joined.push('\n');
                joined.push_str(line);
            }
        }
    }
    joined
}

/// A text is for people, and may be worded anew: what is decided by is a value, and the words of other programs become one where they are read
/// (`plan/task_lines/words.rs` for Slurm's, `connect/ssh_errors.rs` for ssh's).
#[test]
fn nothing_is_decided_by_a_text_of_our_own() {
    let mut sources = sources();
    sources.retain(|path| {
        let path = path.with_extension("");
        path.iter().all(|part| part != "tests" && part != "fuzz")
    });
    let rule = |path: &Path, text: &str| lines_with(path, &without_tests(text), DECIDES_BY_TEXT);
    let bad = [
        "    if failure.message.contains(\"memory\") {",
        "    let short = end\n        .hints\n        .iter()\n        .any(|hint| hint == MORE_MEMORY);",
        "    if failure.to_string().starts_with(\"no\") {",
    ];
    hold(&sources, rule, "launcher/x.rs", &bad);
    let machines: Vec<PathBuf> = sources
        .into_iter()
        .filter(|path| {
            let path = path.with_extension("");
            path.iter().any(|part| part == "machine" || part == "event")
        })
        .collect();
    assert!(machines.len() > 10, "{machines:?}");
    let rule = |path: &Path, text: &str| {
        let text = without_tests(text);
        code(&text)
            .filter(|(_, line)| READS_TEXT.iter().any(|word| line.contains(word)))
            .map(|(_, line)| format!("{}: {}", path.display(), line.trim()))
            .collect()
    };
    let bad = [
        "    } else if words.ends_with(\": Killed\") {",
        "    Exit::Signal { name, .. } if name == \"SIGKILL\" => {",
        "    let is = words\n        .iter()\n        .any(|words| words.contains(\"prohibited\"));",
    ];
    hold(&machines, rule, "launcher/x/machine.rs", &bad);
}

#[test]
fn the_words_of_the_record_are_its_types_alone() {
    let others: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| !path.starts_with("launcher/record"))
        .collect();
    let words = ["\"starting\"", "\"degraded\"", "\"stopping\""];
    let rule = |path: &Path, text: &str| lines_with(path, &without_tests(text), &words);
    let bad = ["    match record.state.as_deref() { Some(\"degraded\") => {}"];
    hold(&others, rule, "launcher/x.rs", &bad);
}

#[test]
fn no_file_is_long() {
    let rule = |path: &Path, text: &str| {
        let lines = text.lines().count();
        (lines > LONGEST)
            .then(|| {
                format!(
                    "{} has {lines} lines, and {LONGEST} are the most",
                    path.display()
                )
            })
            .into_iter()
            .collect()
    };
    let long = "\n".repeat(LONGEST + 1);
    hold(&sources(), rule, "launcher/x.rs", &[&long]);
}

/// The parts that a line uses: what follows `crate::`, and as many `super::` as lead to the crate's root.
fn used<'a>(path: &Path, line: &'a str) -> Vec<&'a str> {
    let inside = path.strip_prefix("launcher").expect("a source");
    let is_mod = inside.file_name().is_some_and(|name| name == "mod.rs");
    let depth = inside.components().count() - usize::from(is_mod);
    let to_root = "super::".repeat(depth);
    let first_word = |rest: &'a str| {
        rest.split(|char: char| !(char.is_alphanumeric() || char == '_'))
            .next()
            .unwrap_or_default()
    };
    let absolute = line.match_indices("crate::");
    let relative = line.match_indices(to_root.as_str());
    absolute
        .chain(relative)
        .map(|(at, found)| first_word(&line[at + found.len()..]))
        .collect()
}

#[test]
fn nobody_imports_upwards() {
    let rank = |part: &str| PARTS.iter().position(|known| *known == part);
    let rule = |path: &Path, text: &str| {
        let part = path
            .components()
            .nth(1)
            .map(|part| part.as_os_str().to_string_lossy().replace(".rs", ""));
        let own = part.as_deref().and_then(rank);
        let mut faults: Vec<String> = code(text)
            .filter(|(_, line)| {
                used(path, line).into_iter().any(|part| rank(part) > own)
                    || line.contains("use crate::{")
            })
            .map(|(number, line)| format!("{}:{number}: {}", path.display(), line.trim()))
            .collect();
        if own.is_none() {
            faults.push(format!("{} is of no known part", path.display()));
        }
        faults
    };
    let sources = files("launcher", &["rs"]);
    hold(
        &sources,
        rule,
        "launcher/plan/x.rs",
        &[
            "use crate::here::files;",
            "    crate::run::run();",
            "use super::super::report::record;",
            "use crate::{failure, here};",
        ],
    );
    hold(&sources, rule, "launcher/plan/mod.rs", &["use super::cli;"]);
    hold(
        &sources,
        rule,
        "launcher/elsewhere/mod.rs",
        &["// a part that is not in the list"],
    );
}

#[test]
fn no_room_of_here_uses_one_after_it() {
    let here = files("launcher/here", &["rs"]);
    for (number, room) in ROOMS.iter().enumerate() {
        let own = Path::new("launcher/here").join(room);
        let others: Vec<String> = ROOMS[number + 1..]
            .iter()
            .map(|other| format!("here::{other}"))
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let files: Vec<PathBuf> = here
            .iter()
            .filter(|path| path.starts_with(&own))
            .cloned()
            .collect();
        assert!(files.len() > 3, "{files:?}");
        let bad: Vec<String> = others
            .iter()
            .map(|other| format!("use crate::{other}::x;"))
            .collect();
        let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
        hold(
            &files,
            |path, text| lines_with(path, text, &others),
            "launcher/here/x.rs",
            &bad,
        );
    }
}

/// The module that a source is: `["plan", "services"]` for `launcher/plan/services/mod.rs`.
fn module(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix("launcher").expect("a source");
    let mut names: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    names
}

/// Reads one path with its groups, `a::{b, c::d}`, word by word, and tells what follows it.
fn read_path<'a>(
    mut rest: &'a str,
    mut words: Vec<&'a str>,
    paths: &mut Vec<Vec<&'a str>>,
) -> &'a str {
    loop {
        rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            rest = group;
            while !rest.trim_start().starts_with('}') && !rest.is_empty() {
                rest = read_path(rest, words.clone(), paths);
                // What is between two of a group: a comma, or a name of its own.
                let end = rest.find([',', '}']).unwrap_or(rest.len());
                rest = rest[end..].trim_start_matches(',');
            }
            return rest.trim_start().trim_start_matches('}');
        }
        let is_name = |char: char| char.is_alphanumeric() || char == '_';
        let (word, after) = rest.split_at(rest.find(|char| !is_name(char)).unwrap_or(rest.len()));
        words.push(word);
        let Some(more) = after.strip_prefix("::") else {
            paths.push(words);
            return after;
        };
        rest = more;
    }
}

/// The modules among these that a source names by their paths, its tests aside.
fn imports(own: &[String], text: &str, modules: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let text: Vec<&str> = code(text).map(|(_, line)| line).collect();
    let text = text.join("\n");
    let mut paths = Vec::new();
    for head in ["crate::", "super::"] {
        for (at, _) in text.match_indices(head) {
            if !text[..at]
                .ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == ':')
            {
                read_path(&text[at..], Vec::new(), &mut paths);
            }
        }
    }
    let absolute = |words: &Vec<&str>| {
        let ups = words.iter().take_while(|word| **word == "super").count();
        let from = if ups == 0 {
            &[]
        } else {
            &own[..own.len().saturating_sub(ups)]
        };
        let rest = words[ups.max(1)..].iter().map(|word| (*word).to_owned());
        from.iter().cloned().chain(rest).collect::<Vec<_>>()
    };
    paths
        .iter()
        .map(absolute)
        .filter_map(|path| {
            (1..=path.len())
                .rev()
                .map(|end| path[..end].to_vec())
                .find(|part| modules.contains(part))
        })
        // A module names those below it to have them; they may use what it has.
        .filter(|other| !other.starts_with(own))
        .collect()
}

/// The circles of imports: each as the files that lead from one back to itself.
fn circles(sources: &[(PathBuf, String)]) -> Vec<String> {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(|(path, _)| module(path)).collect();
    let mut arrows: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = sources
        .iter()
        .map(|(path, text)| (module(path), imports(&module(path), text, &modules)))
        .collect();
    // What imports nothing that is left, or is imported by nothing that is left, is in no circle.
    loop {
        let left: BTreeSet<Vec<String>> = arrows.keys().cloned().collect();
        let used: BTreeSet<Vec<String>> = arrows.values().flatten().cloned().collect();
        arrows.retain(|module, others| {
            others.retain(|other| left.contains(other));
            !others.is_empty() && used.contains(module)
        });
        if arrows.len() == left.len() {
            break;
        }
    }
    arrows
        .iter()
        .map(|(module, others)| {
            let others: Vec<String> = others.iter().map(|other| other.join("::")).collect();
            format!("{} uses {}", module.join("::"), others.join(", "))
        })
        .collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sample = |texts: &[(&str, &str)]| -> Vec<(PathBuf, String)> {
        let file =
            |(name, text): &(&str, &str)| (Path::new("launcher").join(name), (*text).to_owned());
        texts.iter().map(file).collect()
    };
    let bad = sample(&[
        ("plan/mod.rs", "pub mod a;\nuse a::A;"),
        (
            "plan/a.rs",
            "use super::{\n    b::{self, C as D},\n    E,\n};",
        ),
        ("plan/b/mod.rs", "mod c;\n"),
        ("plan/b/c.rs", "use crate::here::F;"),
        ("here.rs", "fn f() -> crate::plan::a::A {}"),
    ]);
    assert!(circles(&bad).is_empty(), "{:?}", circles(&bad));
    let mut worse = bad;
    worse[2].1 = "mod c;\nfn f() { super::super::here::f() }".to_owned();
    assert_eq!(circles(&worse).len(), 3, "{:?}", circles(&worse));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = sources();
    sources.retain(|path| {
        !path
            .iter()
            .any(|part| part == "tests" || part == "fuzz" || part == "fuzz.rs")
    });
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).expect("text");
        (path, text)
    };
    let found = circles(&sources.into_iter().map(read).collect::<Vec<_>>());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_map_in_lib_lists_the_parts_in_this_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("launcher/lib.rs")).expect("text");
    let mut mapped: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! - `")?.split('`').next())
        .collect();
    mapped.extend(["lib", "main"]);
    assert_eq!(mapped, PARTS);
}

#[test]
fn only_report_and_cli_write_to_stdout_and_stderr() {
    let others: Vec<PathBuf> = files("launcher", &["rs"])
        .into_iter()
        .filter(|path| !path.starts_with("launcher/report") && !path.starts_with("launcher/cli"))
        .collect();
    let rule = |path: &Path, text: &str| lines_with(path, text, PRINTS);
    let bad = ["    println!(\"x\");", "    let out = std::io::stdout();"];
    hold(&others, rule, "launcher/run.rs", &bad);
}

#[test]
fn nothing_is_unsafe() {
    let rule = |path: &Path, text: &str| lines_with(path, text, &["unsafe ", "allow(unsafe_code"]);
    let bad = ["    unsafe { f() }", "#![allow(unsafe_code)]"];
    hold(&files("launcher", &["rs"]), rule, "launcher/run.rs", &bad);
}

/// What several files make up together, whose tests have files of their own below it.
const TESTED_AS_A_WHOLE: &[&str] = &[
    "launcher/plan/mod.rs",
    "launcher/record/mod.rs",
    "launcher/remote/connect/machine.rs",
    "launcher/remote/mod.rs",
    "launcher/supervisor/machine.rs",
];

#[test]
fn what_tests_a_file_stands_at_its_end() {
    let mut sources = files("launcher", &["rs"]);
    sources.retain(|path| {
        !TESTED_AS_A_WHOLE.iter().any(|whole| {
            path.starts_with(Path::new(whole).with_extension("")) || path == Path::new(whole)
        })
    });
    let rule = |path: &Path, text: &str| {
        code(text)
            .filter(|(_, line)| ["mod tests;", "mod fuzz;"].contains(&line.trim()))
            .map(|(number, line)| format!("{}:{number}: {}", path.display(), line.trim()))
            .collect()
    };
    let bad = ["#[cfg(test)]\nmod tests;", "mod fuzz;"];
    hold(&sources, rule, "launcher/run.rs", &bad);
}

/// What leaves a test early, or asks on its own for what may lack.
const SKIPS: &[&str] = &[
    "return;",
    "return }",
    "skipped: ",
    "is_root()",
    "var(\"IPJOB_TEST",
    "var_os(\"IPJOB_TEST",
];

#[test]
fn no_test_ends_early_but_by_what_it_needs() {
    let own = Path::new("tests/source_rules.rs");
    let mut tests = files("tests", &["rs"]);
    tests.retain(|path| path != own && !path.starts_with("tests/support"));
    let rule = |path: &Path, text: &str| {
        code(text)
            .filter(|(_, line)| SKIPS.iter().any(|word| line.contains(word)))
            .map(|(number, line)| {
                format!(
                    "{}:{number}: {} (tests/support/needs.rs says how)",
                    path.display(),
                    line.trim()
                )
            })
            .collect()
    };
    let bad = [
        "        return;",
        "    let Ok(x) = x() else { return };",
        "    if env::var_os(\"IPJOB_TEST_LONG\").is_none() {",
    ];
    hold(&tests, rule, "tests/x.rs", &bad);
}

/// Whether a line lets time pass instead of waiting for a fact: `sleep` of a thread, of tokio, of Python, of a shell.
fn sleeps(line: &str) -> bool {
    line.match_indices("sleep").any(|(at, word)| {
        let before = &line[..at];
        let after = &line[at + word.len()..];
        let called = before.ends_with("thread::") || before.ends_with("time::");
        called
            || (before.ends_with("time.") && after.starts_with('('))
            || after
                .trim_start()
                .starts_with(|char: char| char.is_ascii_digit() || char == '.')
                && after.starts_with(' ')
    })
}

#[test]
fn no_test_sleeps() {
    let own = Path::new("tests/source_rules.rs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Measurements and those who do harm at random moments may wait, and the shell scripts of the lab look again and again for their facts; the rest, fakes
    // included, is woken by what it waits for.
    let mut tests = files("tests", &["rs", "py", "sh"]);
    tests.extend(
        fs::read_dir(root.join("tests/fakes"))
            .expect("fakes")
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| Path::new("tests/fakes").join(entry.file_name())),
    );
    tests.retain(|path| {
        path != own
            && !["tests/bench", "tests/chaos", "tests/lab"]
                .iter()
                .any(|dir| path.starts_with(dir))
    });
    let rule = |path: &Path, text: &str| {
        code(text)
            .filter(|(_, line)| sleeps(line))
            .map(|(number, line)| format!("{}:{number}: {}", path.display(), line.trim()))
            .collect()
    };
    let bad = [
        "    std::thread::sleep(PAUSE);",
        "    tokio::time::sleep(PAUSE).await;",
        "        time.sleep(0.1)",
        "place.script(\"x\", \"sleep 1\");",
        "    sleep .5",
    ];
    hold(&tests, rule, "tests/x.rs", &bad);
}

/// The words that are not used, each with what is used instead: `docs/glossary.md` alone has them.
fn refused_words() -> Vec<(Vec<String>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/glossary.md");
    let page = fs::read_to_string(path).expect("the glossary");
    let (_, table) = page
        .split_once("| not | but |\n| --- | --- |\n")
        .expect("the table");
    let rows = table.lines().map_while(|line| {
        let (not, but) = line.strip_prefix("| ")?.split_once(" | ")?;
        let words = not.split(' ').map(str::to_lowercase).collect();
        Some((words, but.trim_end_matches(" |").to_owned()))
    });
    rows.collect()
}

/// A line with `_` in the place of each `{name}` that a format string fills.
fn without_holes(line: &str) -> String {
    let mut parts = line.split('{');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((_, rest)) => kept.extend([" _ ", rest]),
            None => kept.push_str(part),
        }
    }
    kept
}

/// The words of a text in small letters, each with its line; an empty one where a phrase ends, at a punctuation mark or a blank line.
fn words_of(text: &str, first: usize) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for (number, line) in (first..).zip(text.lines()) {
        let mut word = String::new();
        let line = without_holes(line);
        // Past its end, so that a line's last word ends too.
        for char in line.chars().chain([' ']) {
            if char.is_alphanumeric() || "'-_".contains(char) {
                word.extend(char.to_lowercase());
                continue;
            }
            if !word.is_empty() {
                found.push((std::mem::take(&mut word), number));
            }
            if !char.is_whitespace() {
                found.push((String::new(), number));
            }
        }
        if line.trim().is_empty() {
            found.push((String::new(), number));
        }
    }
    found
}

/// Where a text has words that are not used.
fn refused(
    path: &Path,
    text: &str,
    first: usize,
    refused: &[(Vec<String>, String)],
) -> Vec<String> {
    let words = words_of(text, first);
    let mut faults = Vec::new();
    for (phrase, instead) in refused {
        for part in words.windows(phrase.len()) {
            if part.iter().map(|(text, _)| text).eq(phrase) {
                let (path, line) = (path.display(), part[0].1);
                faults.push(format!("{path}:{line}: {:?}: {instead}", phrase.join(" ")));
            }
        }
    }
    faults
}

/// The texts of a source in Rust, without its tests, or in Python, each with its first line: what is in double quotes and, for the
/// files that are the manual, the doc comments.
fn texts_of(source: &str, is_manual: bool) -> Vec<(usize, String)> {
    let mut texts = Vec::new();
    // What is inside quotes that a line has not closed.
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(product(source).lines()) {
        let trimmed = line.trim_start();
        // An attribute, or a comment of Python's, begins with `#`.
        if open.is_none() && (trimmed.starts_with("//") || trimmed.starts_with('#')) {
            let text = trimmed.strip_prefix("///").filter(|_| is_manual);
            texts.extend(text.map(|text| (number, text.to_owned())));
            continue;
        }
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            match (char, &mut open) {
                ('"', None) => open = Some((number, String::new())),
                ('"', Some(_)) => texts.extend(open.take()),
                // `'"'` is a character.
                ('\'', None) if chars.peek() == Some(&'"') => {
                    chars.next();
                }
                ('\\', Some((_, text))) => {
                    if chars.next() == Some('n') {
                        text.push('\n');
                    }
                }
                (char, Some((_, text))) => text.push(char),
                (_, None) => {}
            }
        }
        if let Some((_, text)) = &mut open {
            text.push('\n');
        }
    }
    texts
}

#[test]
fn the_texts_for_users_have_only_words_that_they_know() {
    let list = refused_words();
    assert!(list.len() > 20, "{list:?}");
    let is_manual = |path: &Path| {
        path.starts_with("launcher/cli")
            || path == Path::new("launcher/plan/settings.rs")
            || path == Path::new("launcher/plan/wiring.rs")
    };
    let rule = |path: &Path, text: &str| {
        let texts = texts_of(text, is_manual(path)).into_iter();
        texts
            .flat_map(|(line, text)| refused(path, &text, line, &list))
            .collect()
    };
    let mut sources = sources();
    sources.retain(|path| {
        let path = path.with_extension("");
        path.iter().all(|part| part != "tests" && part != "fuzz")
    });
    sources.extend(files("python/ipjob", &["py"]));
    let bad = [
        "    /// Start the job anew.",
        "    print(f\"{job.told} goes on\")",
        "    let text = \"{node} goes on\";",
        "    let text = \"the last lines: it \\\n        goes on\";",
        "    let quote = '\"';\n    let text = \"as long as it runs\";",
    ];
    hold(&sources, rule, "launcher/cli/x.rs", &bad);
    let unused = rule(
        Path::new("launcher/x.rs"),
        "// It goes on.\n/// Anew.\n    # It goes on.\nlet told = format!(\"{told} again\");",
    );
    assert_eq!(unused, [""; 0], "comments are not for users");
    let whole = |path: &Path, text: &str| refused(path, text, 1, &list);
    let bad = ["It goes on.", "a job that goes\non", "Start it Anew"];
    let mut others = files("sbatch", &["sbatch", "sh", "yml", "erb", "md"]);
    // The pages for users; those of docs/design are for who changes the program, and what has changed stays as it was said.
    others.push(PathBuf::from("README.md"));
    others.extend(files("docs", &["md"]).into_iter().filter(|path| {
        let kept = ["glossary.md", "CHANGELOG.md"].map(|name| Path::new("docs").join(name));
        !path.starts_with("docs/design") && !kept.contains(path)
    }));
    hold(&others, whole, "docs/x.md", &bad);
    assert_eq!(
        whole(Path::new("x"), "it goes. On").len(),
        0,
        "two sentences"
    );
}
