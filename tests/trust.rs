//! What a stranger who is to trust the program looks at: licences, crates and sources, and the files at the top that tell how to report, cite and ask.

use crate::support::{Needed, Place, binary, venv};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The strings of a list in deny.toml: all that is quoted between `NAME = [` and the bracket that ends it.
fn listed(section: &str, name: &str) -> BTreeSet<String> {
    let all = text("deny.toml");
    let (_, rest) = all
        .split_once(&format!("\n[{section}]\n"))
        .expect("the section");
    let rest = rest.split("\n[").next().expect("a section");
    let (_, list) = rest.split_once(&format!("\n{name} = [")).expect("the list");
    let mut depth = 1;
    let end = list.find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth == 0
    });
    let list = &list[..end.expect("its end")];
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether these licences are enough for an SPDX expression; old crates write `/` for OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let is_it = any(&mut words, allowed);
    is_it && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    let mut found = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        found |= both(words, allowed);
    }
    found
}

fn both(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    let mut found = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        found &= one(words, allowed);
    }
    found
}

fn one(words: &mut Words, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let found = any(words, allowed);
        return words.next_if_eq(&")").is_some() && found;
    }
    let name = words.next().unwrap_or_default().to_owned();
    let name = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{name} WITH {}", words.next().unwrap_or_default()),
        None => name,
    };
    allowed.contains(&name)
}

#[test]
fn an_expression_of_licences_is_read_as_spdx_means_it() {
    let allowed: BTreeSet<String> = ["MIT", "Zlib"].map(str::to_owned).into();
    for (expression, is) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND Unicode-3.0", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("MIT WITH LLVM-exception", false),
        ("MIT WITH LLVM-exception OR MIT", true),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
}

/// What cargo knows of all crates that are in the program or build it, for one target.
fn crates(target: &str) -> BTreeMap<String, Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            target,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let known: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        let entries = list.as_array().expect("a list").iter();
        entries
            .map(|entry| {
                (
                    entry["id"].as_str().expect("an id").to_owned(),
                    entry.clone(),
                )
            })
            .collect()
    };
    let packages = by_id(&known["packages"]);
    let nodes = by_id(&known["resolve"]["nodes"]);
    let mut found = BTreeMap::new();
    let mut open = vec![known["resolve"]["root"].as_str().expect("ours").to_owned()];
    while let Some(id) = open.pop() {
        if found.insert(id.clone(), packages[&id].clone()).is_some() {
            continue;
        }
        for next in nodes[&id]["deps"].as_array().expect("a list") {
            let kinds = next["dep_kinds"].as_array().expect("a list");
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                open.push(next["pkg"].as_str().expect("an id").to_owned());
            }
        }
    }
    found
}

#[test]
fn crates_of_the_program_are_ones_that_the_lists_allow() {
    let allowed = listed("licenses", "allow");
    let banned = listed("bans", "deny");
    let skipped = listed("bans", "skip");
    assert!(allowed.contains("MIT") && banned.contains("cc") && skipped.contains("syn@2"));
    // As deny.toml says it without an exception.
    assert!(listed("graph", "targets").contains("x86_64-unknown-linux-musl"));
    for target in ["x86_64-unknown-linux-musl", "aarch64-apple-darwin"] {
        let crates = crates(target);
        assert!(crates.len() > 30, "{target}: {}", crates.len());
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for package in crates.values() {
            let name = package["name"].as_str().expect("a name");
            let version = package["version"].as_str().expect("a version");
            let licence = package["license"].as_str().unwrap_or_default();
            assert!(is_allowed(licence, &allowed), "{name} {version}: {licence}");
            assert!(!banned.contains(name), "{name} is banned");
            let source = &package["source"];
            let is_known = source.is_null() && name == "ipjob"
                || source.as_str().is_some_and(|source| {
                    source.starts_with("registry+") && source.ends_with("/crates.io-index")
                });
            assert!(is_known, "{name} comes from {source}");
            let major = version.split('.').next().expect("a number");
            if !skipped.contains(&format!("{name}@{major}")) {
                let other = seen.insert(name, version);
                assert_eq!(other, None, "{name} {version} is there twice");
            }
        }
    }
}

/// A YAML file as JSON; a Python of ours reads it.
fn yaml(place: &Place, venv: &Path, name: &str) -> Value {
    let code =
        "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout, default=str)";
    let file = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name);
    let output = place
        .command(venv.join("bin/python"))
        .args(["-c", code])
        .stdin(file)
        .output()
        .expect("Python");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn reader() -> Needed<(Place, std::path::PathBuf)> {
    Ok((Place::empty(), venv("main")?))
}

#[test]
fn the_citation_is_of_this_version() {
    let (place, venv) = needed!(reader());
    let citation = yaml(&place, &venv, "CITATION.cff");
    let entries = citation.as_object().expect("fields");
    for field in [
        "cff-version",
        "message",
        "title",
        "authors",
        "version",
        "license",
        "type",
    ] {
        assert!(entries.contains_key(field), "no {field}");
    }
    assert_eq!(citation["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(citation["cff-version"], "1.2.0");
    let licences = citation["license"].as_array().expect("a list").iter();
    let licences: Vec<&str> = licences.filter_map(Value::as_str).collect();
    assert_eq!(licences.join(" OR "), env!("CARGO_PKG_LICENSE"));
    let authors = citation["authors"].as_array().expect("a list");
    assert!(!authors.is_empty() && authors.iter().all(|author| author["name"].is_string()));
}

#[test]
fn who_files_an_issue_is_asked_for_a_report_by_a_command_that_there_is() {
    let (place, venv) = needed!(reader());
    let command = "`ipjob doctor --report=-`";
    for name in ["bug", "site"] {
        let form = yaml(&place, &venv, &format!(".github/ISSUE_TEMPLATE/{name}.yml"));
        let mut fields = form["body"].as_array().expect("fields").iter();
        let report = fields
            .find(|field| field["id"] == "report")
            .expect("a report");
        assert_eq!(report["validations"]["required"], true);
        let asked = report["attributes"]["description"].as_str().expect("words");
        assert!(asked.contains(command), "{asked}");
    }
    let mut ids = BTreeSet::new();
    for name in ["bug", "site", "idea"] {
        let form = yaml(&place, &venv, &format!(".github/ISSUE_TEMPLATE/{name}.yml"));
        assert!(
            form["name"].is_string() && form["description"].is_string(),
            "{name}"
        );
        for field in form["body"].as_array().expect("fields") {
            let kind = field["type"].as_str().expect("a type");
            assert!(
                ["markdown", "textarea", "input", "dropdown", "checkboxes"].contains(&kind),
                "{name}: {kind}"
            );
            if kind != "markdown" {
                let id = field["id"].as_str().expect("an id");
                assert!(ids.insert(format!("{name} {id}")), "{name}: {id} twice");
                assert!(field["attributes"]["label"].is_string(), "{name}: {id}");
            }
        }
    }
    assert!(text("SECURITY.md").contains(command));
    let help = Command::new(binary())
        .args(["doctor", "--help"])
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&help.stdout).contains("--report[=<FILE>]"));
    let config = yaml(&place, &venv, ".github/ISSUE_TEMPLATE/config.yml");
    assert_eq!(config, json!({"blank_issues_enabled": false}));
}
