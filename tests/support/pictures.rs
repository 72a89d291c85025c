//! The pictures of docs/, made from what tests see. `make pictures` names their directory in `IPJOB_TEST_PICTURES`; without it none is
//! written.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The size of a character in a picture of a terminal, and the columns that one has at most.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 19.0;
const COLUMNS: usize = 100;

fn write(name: &str, content: &[u8]) {
    if let Some(directory) = std::env::var_os("IPJOB_TEST_PICTURES") {
        fs::write(PathBuf::from(directory).join(name), content).expect("a picture");
    }
}

/// A picture that a browser made.
pub fn screenshot(name: &str, png: &[u8]) {
    assert!(png.starts_with(b"\x89PNG"), "{name} is none");
    write(name, png);
}

/// What a terminal shows in the end of all that a command wrote to it.
pub fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let mut chars = written.chars();
    while let Some(char) = chars.next() {
        let line = lines.last_mut().expect("a line");
        match char {
            '\n' => {
                lines.push(String::new());
                column = 0;
            }
            '\r' => column = 0,
            '\u{1b}' => {
                let end = chars.by_ref().find(char::is_ascii_alphabetic);
                if end == Some('K') {
                    line.clear();
                }
            }
            char => {
                let mut cells: Vec<char> = line.chars().collect();
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = char;
                *line = cells.into_iter().collect();
                column += 1;
            }
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    while lines.pop_if(|line| line.is_empty()).is_some() {}
    lines
}

/// A command and what it has written, as a terminal shows them.
pub fn drawn(command: &str, written: &str) -> String {
    let mut lines = vec![format!("$ {command}")];
    lines.extend(screen(written));
    for line in &mut lines {
        if line.chars().count() > COLUMNS {
            *line = line.chars().take(COLUMNS - 1).chain(['…']).collect();
        }
    }
    let columns = lines.iter().map(|line| line.chars().count()).max();
    let size = |cells: usize, of: f64| f64::from(u32::try_from(cells).expect("few")) * of;
    let width = size(columns.unwrap_or_default(), WIDTH) + 32.0;
    let height = size(lines.len(), HEIGHT) + 32.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" font-family=\"monospace\" \
         font-size=\"14\" fill=\"#d8dee9\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#20262e\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = size(number, HEIGHT) + 30.0;
        let length = size(line.chars().count(), WIDTH);
        let color = if number == 0 { " fill=\"#ffffff\"" } else { "" };
        let text = line
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        writeln!(
            svg,
            "<text x=\"16\" y=\"{y:.0}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{color}>{text}</text>"
        )
        .expect("text");
    }
    svg.push_str("</svg>\n");
    svg
}

/// A picture of a terminal.
pub fn terminal(name: &str, command: &str, written: &str) {
    write(name, drawn(command, written).as_bytes());
}
