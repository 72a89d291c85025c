//! The pictures of docs/ (`make pictures`): small, each with words for who does not see it, and drawn as the terminal shows it.

use super::{DESIGN, document, pages};
use crate::support::pictures::{drawn, screen};
use std::fs;
use std::path::Path;

#[test]
fn every_picture_is_small_and_on_a_page_with_words_for_it() {
    let texts: String = pages(&["", "docs", DESIGN])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = 0;
    for entry in fs::read_dir(docs).expect("docs").flatten() {
        let path = entry.path();
        if !path
            .extension()
            .is_some_and(|extension| extension == "png" || extension == "svg")
        {
            continue;
        }
        found += 1;
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = entry.metadata().expect("a file").len();
        assert!(size < 150_000, "{name} has {size} bytes");
        let (before, _) = texts
            .split_once(&format!("]({name})"))
            .unwrap_or_else(|| panic!("{name} is on no page"));
        let (_, words) = before.rsplit_once("![").expect("a picture");
        assert!(words.len() > 20, "{name}: {words:?}");
    }
    assert!(found >= 4, "{found} pictures");
    let makefile = document("Makefile").expect("Makefile");
    assert!(makefile.contains("\npictures:"), "make pictures is gone");
}

#[test]
fn a_terminal_is_drawn_as_it_is_seen() {
    let written = "\u{1b}[2K\r⠁ waiting\r\u{1b}[2K  0.1s  a <b>\r\n\r\nend\rE\u{1b}[0m\n";
    assert_eq!(screen(written), ["  0.1s  a <b>", "", "End"]);
    let svg = drawn("ipjob", written);
    assert!(svg.contains(">  0.1s  a &lt;b&gt;</text>"), "{svg}");
    let long = drawn("ipjob", &"x".repeat(200));
    assert!(long.contains(&format!(">{}…</text>", "x".repeat(99))));
}
