//! The site of the docs, built by the real mkdocs: every page is in its navigation, every link leads somewhere, nothing comes from
//! another host.

use super::{DESIGN, document, pages};
use crate::support::{Place, venv};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// What `make docs` reads.
const CONFIGURATION: &str = "mkdocs.yml";

/// The hook that brings in what lies outside of docs/.
const HOOK: &str = "docs/site/forge.py";

#[test]
fn every_page_is_in_the_navigation_of_the_site() {
    let configuration = document(CONFIGURATION).expect("the configuration");
    for (page, _) in pages(&["docs", DESIGN]) {
        let name = page.strip_prefix("docs").expect("inside").display();
        let entry = format!(": {name}\n");
        let named = configuration.contains(&entry);
        assert!(named, "the nav of {CONFIGURATION} lacks docs/{name}");
    }
}

/// Builds the site of the project in that directory.
fn build(venv: &Path, project: &Path, site: &Path) -> Output {
    let place = Place::with_venv(venv);
    let mut command = place.command(venv.join("bin/mkdocs"));
    command.current_dir(project);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["build", "--strict", "--site-dir"]).arg(site);
    command.output().expect("mkdocs runs")
}

/// All built pages below a directory.
fn html(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            html(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            found.push(path);
        }
    }
}

/// The tags of a page, each with its name first.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    let tags = text.split('<').skip(1);
    tags.filter_map(|rest| Some(rest.split_once('>')?.0))
}

/// An attribute's value.
fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

/// What a browser would load from another host to show the page: everything but the links that a reader clicks.
fn from_elsewhere(text: &str) -> Vec<&str> {
    let tags = tags(text).filter(|tag| !tag.starts_with("a "));
    tags.flat_map(|tag| ["src", "href"].map(|name| value(tag, name)))
        .flatten()
        .filter(|target| target.starts_with("//") || target.contains("://"))
        .collect()
}

/// The links and files of a page of this site that lead nowhere.
fn dead(page: &Path, text: &str) -> Vec<String> {
    let targets = tags(text).flat_map(|tag| ["src", "href"].map(|name| value(tag, name)));
    let inside = targets
        .flatten()
        .filter(|target| !target.contains(':') && !target.starts_with("//"));
    inside
        .filter(|target| {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = match file {
                "" => page.to_owned(),
                file => page.with_file_name("").join(file),
            };
            let anchored = anchor.is_empty()
                || fs::read_to_string(&there)
                    .is_ok_and(|text| text.contains(&format!(" id=\"{anchor}\"")));
            !(there.exists() && anchored)
        })
        .map(|target| format!("{}: {target}", page.display()))
        .collect()
}

/// Paragraphs in which mkdocs has not seen what a forge shows as a list, table or block.
fn unseen(text: &str) -> Vec<&str> {
    let starts = ["- ", "* ", "| ", "```", "1. "];
    let paragraphs = text.split("<p>").skip(1);
    let paragraphs = paragraphs.filter_map(|rest| Some(rest.split_once("</p>")?.0));
    paragraphs
        .filter(|part| {
            part.lines()
                .any(|line| starts.iter().any(|start| line.starts_with(start)))
        })
        .collect()
}

#[test]
fn the_site_builds_strictly_and_loads_nothing_from_another_host() {
    let venv = needed!(venv("docs"));
    let place = Place::empty();
    let site = place.dir().join("site");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = build(&venv, root, &site);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let sample = "<a href=\"https://x.org\">x</a><script src=\"https://x.org/x.js\"></script><img src=\"//x.org/x.png\">";
    assert_eq!(from_elsewhere(sample).len(), 2);
    assert_eq!(unseen("<p>one:\n- two</p><p>three</p>").len(), 1);
    let sample =
        "<a href=\"start.html\"></a><a href=\"none.html\"></a><a href=\"start.html#none\"></a>";
    assert_eq!(dead(&site.join("x.html"), sample).len(), 2);
    let mut pages = Vec::new();
    html(&site, &mut pages);
    // What an error of the server's shows has links from the site's root.
    pages.retain(|page| !page.ends_with("404.html"));
    assert!(pages.len() > 40, "{pages:?}");
    let mut faults = BTreeSet::new();
    for page in &pages {
        let text = fs::read_to_string(page).expect("a page");
        faults.extend(dead(page, &text));
        let others = from_elsewhere(&text).into_iter().chain(unseen(&text));
        faults.extend(others.map(|fault| format!("{}: {fault}", page.display())));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_link_that_leads_nowhere_ends_the_build_of_the_site() {
    let venv = needed!(venv("docs"));
    let place = Place::empty();
    let project = place.dir().join("project");
    fs::create_dir_all(project.join("docs/site")).expect("directories");
    let configuration = document(CONFIGURATION).expect("the configuration");
    let (head, _) = configuration.split_once("\nnav:").expect("a nav");
    let nav = "\nnav:\n  - A: index.md\n  - B: b.md\n";
    let files = [
        (CONFIGURATION, [head, nav].concat()),
        (HOOK, document(HOOK).expect("the hook")),
        ("README.md", "# A\n[b](docs/b.md#b)\n".to_owned()),
        (
            "docs/b.md",
            "# B\n[a](../README.md#a) [c](../c)\n\n1. x\n\n   ```sh\n   y\n   ```\n\n2. z\n"
                .to_owned(),
        ),
        ("c", "text".to_owned()),
    ];
    for (name, text) in files {
        fs::write(project.join(name), text).expect("written");
    }
    let site = place.dir().join("site");
    let built = build(&venv, &project, &site);
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    assert!(site.join("project/c.html").exists(), "{said}");
    // What belongs to an item ends no list.
    let page = fs::read_to_string(site.join("b.html")).expect("a page");
    assert_eq!(page.matches("<ol>").count(), 1, "{page}");
    for (page, text, expected) in [
        ("docs/b.md", "# B\n[c](../gone)\n", "there is no gone"),
        ("docs/b.md", "# B\n[a](../README.md#none)\n", "#none"),
        ("docs/b.md", "# B\n[b](none.md)\n", "none.md"),
        ("docs/new.md", "# New\n", "new.md"),
    ] {
        let before = fs::read(project.join(page)).ok();
        fs::write(project.join(page), text).expect("written");
        let failed = build(&venv, &project, &site);
        let said = String::from_utf8_lossy(&failed.stderr);
        assert!(!failed.status.success(), "{text:?}: {said}");
        assert!(said.contains(expected), "{text:?}: {said}");
        match before {
            Some(before) => fs::write(project.join(page), before).expect("written"),
            None => fs::remove_file(project.join(page)).expect("removed"),
        }
    }
}
