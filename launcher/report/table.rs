//! Tables for people.

use anstyle::Style;
use std::fmt::Write as _;

/// One cell: its text, and how it looks.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell of this look.
    #[must_use]
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// The rows below their headings, each column as wide as its widest cell, the last as it is.
#[must_use]
pub fn text<const N: usize>(headings: [&str; N], rows: &[[Cell; N]]) -> String {
    let headings = headings.map(|heading| Cell::styled(heading, Style::new().bold()));
    let lines: Vec<&[Cell; N]> = std::iter::once(&headings).chain(rows).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in lines {
        let last = row
            .iter()
            .rposition(|cell| !cell.text.is_empty())
            .unwrap_or(0);
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate().take(last + 1) {
            let style = cell.style;
            let _ = write!(out, "{style}{}{style:#}", cell.text);
            if column < last {
                let filled = cell.text.chars().count();
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(filled) + 2));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["1".into(), "ready".into(), Cell::default()],
            ["1234567".into(), "".into(), "x y".into()],
        ];
        let shown =
            anstream::adapter::strip_str(&text(["JOB", "STATE", "NOTE"], &rows)).to_string();
        assert_eq!(
            shown,
            "JOB      STATE  NOTE\n1        ready\n1234567         x y\n"
        );
    }
}
