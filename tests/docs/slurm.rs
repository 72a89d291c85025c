//! Every test that brings up a lab is one of the cases that `make slurm` runs, and the versions of Slurm that pages claim are
//! those that these run on.

use super::document;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The lines of a list, without what `#` begins.
fn lines(name: &str) -> Vec<String> {
    let text = document(name).expect("a list");
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The versions of Slurm that the tests run on.
fn versions() -> Vec<String> {
    let lines = lines("tests/lab/slurm-versions");
    let versions = lines.iter().filter_map(|line| line.split(' ').next());
    versions.map(str::to_owned).collect()
}

/// The names of the cases, in their order.
fn cases() -> Vec<String> {
    let text = document("tests/slurm-cases").expect("the list");
    let heads = text.split("\n\n# ").skip(1);
    heads
        .map(|rest| rest.lines().next().expect("a name").to_owned())
        .collect()
}

/// What brings up a lab. This file has it in parts alone: it brings up none.
const UP: &[&str] = &[concat!("Lab", "::up("), concat!("Lab", "::with(")];

/// The tests in a source file that bring up a lab.
fn with_a_lab(text: &str) -> Vec<&str> {
    let tests = text.split("#[test]\n").skip(1);
    tests
        .filter_map(|rest| {
            let (body, _) = rest.split_once("\n}\n")?;
            let (_, named) = body.split_once("fn ")?;
            let up = UP.iter().any(|up| body.contains(up));
            up.then_some(named.split_once('(')?.0)
        })
        .collect()
}

/// The same of all files below a directory, by their whole names; `module` is that of the directory.
fn all_with_a_lab(directory: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let stem = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let inner = format!("{module}{stem}::");
        if path.is_dir() {
            all_with_a_lab(&path, &inner, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            found.extend(
                with_a_lab(&text)
                    .iter()
                    .map(|test| format!("{inner}{test}")),
            );
        }
    }
}

#[test]
fn every_test_with_a_lab_is_a_case_and_every_case_a_test() {
    for up in UP {
        let sample =
            format!("#[test]\nfn a() {{\n    {up}&[]);\n}}\n\n#[test]\nfn b() {{\n    c();\n}}\n");
        assert_eq!(with_a_lab(&sample), ["a"]);
    }
    let mut tests = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    all_with_a_lab(&root, "", &mut tests);
    let listed = lines("tests/slurm-cases");
    let mut names = BTreeSet::new();
    for line in &listed {
        let name = ["* ", "- ", ". "]
            .iter()
            .find_map(|mark| line.strip_prefix(mark))
            .unwrap_or_else(|| panic!("tests/slurm-cases: {line}"));
        assert!(names.insert(name.to_owned()), "{name} is there twice");
    }
    let missing: Vec<&String> = tests.difference(&names).collect();
    assert!(missing.is_empty(), "tests/slurm-cases lacks {missing:?}");
    let gone: Vec<&String> = names.difference(&tests).collect();
    assert!(
        gone.is_empty(),
        "tests/slurm-cases names no tests with a lab: {gone:?}"
    );
}

/// The cells of a table's rows, from the header whose first cell this is.
fn table(page: &str, first: &str) -> Vec<Vec<String>> {
    let begin = page
        .find(&format!("\n| {first} |"))
        .unwrap_or_else(|| panic!("no table {first:?}"));
    let rows = page[begin + 1..]
        .lines()
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split(" |");
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

#[test]
fn the_versions_that_pages_claim_are_those_that_the_tests_run_on() {
    let versions = versions();
    assert!(versions.len() > 1, "{versions:?}");
    let (last, others) = versions.split_last().expect("versions");
    let claim = format!("Slurm {} and {last}", others.join(", "));
    let readme = document("README.md").expect("the README");
    assert!(readme.contains(&claim), "README.md claims not {claim}");

    let page = document("docs/slurm.md").expect("the page");
    let known = table(&page, "Slurm");
    let tried: Vec<&str> = known
        .iter()
        .filter(|row| row[1].starts_with("tried"))
        .map(|row| row[0].as_str())
        .collect();
    assert_eq!(tried, versions, "docs/slurm.md's versions that were tried");

    let results = table(&page, "case");
    assert_eq!(results[0][1..], versions, "the columns of docs/slurm.md");
    let rows: Vec<&str> = results[2..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(rows, cases(), "the cases of docs/slurm.md");
}
