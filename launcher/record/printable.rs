//! Words of other programs, made fit for a terminal.

/// A line without colour codes and control characters, which would play with a terminal, without what lets it show words in another order
/// than they stand there, and of bounded length.
#[must_use]
pub fn printable(line: &str) -> String {
    const LONGEST: usize = 400;
    let mut plain = String::new();
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
        } else if char == '\t' {
            plain.push(' ');
        } else if !char.is_control() && !turns(char) {
            plain.push(char);
        }
    }
    match plain.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &plain[..cut]),
        None => plain,
    }
}

/// Whether a character is not seen and changes where others are: marks, embeddings, overrides and isolates of Unicode's bidirectional
/// algorithm, and its line and paragraph separators.
fn turns(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_play_with_the_terminal() {
        assert_eq!(printable("\u{1b}[31mred\u{1b}[0m\u{7}\tx"), "red x");
        assert_eq!(printable("\u{1b}]0;title"), "]0;title");
        assert_eq!(
            printable("job \u{202e}deniar\u{2069} \u{2028}x"),
            "job deniar x"
        );
        assert!(printable(&"x".repeat(10_000)).len() < 500);
    }
}

#[cfg(test)]
mod fuzz {
    use super::printable;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_line_reaches_the_terminal_with_more_than_its_words(line in "(\\PC|[\u{1b}\u{9b}\u{202e}\u{2066}\r\n\t\u{7}\\[0-9;m]){0,600}") {
            let plain = printable(&line);
            prop_assert!(!plain.contains(|char: char| char.is_control() || super::turns(char)));
            prop_assert!(plain.chars().count() <= 403);
            let again = printable(&plain);
            prop_assert_eq!(again.trim_end_matches('.'), plain.trim_end_matches('.'), "once is enough");
        }
    }
}
