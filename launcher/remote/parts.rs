//! One answer in several parts: what a script on the other side prints, taken apart again. A part begins with a line of a mark, a
//! kind and words; the mark is random, so no file's content can pass for one, and whatever a login prints before the first
//! is left out.

use std::io::{self, BufRead, Read};

/// The longest line that is looked at as a whole; what is longer is taken in pieces.
const LONGEST_LINE: u64 = 64 * 1024;

/// The kind of the part that ends a round.
pub const END: &str = "end";

/// The kind of the last part before bytes that are no parts.
pub const RAW: &str = "raw";

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: String,
    /// The rest of its first line.
    pub words: String,
    /// What came with it, at most as long as the reader allows and one byte more.
    pub body: Vec<u8>,
}

impl Part {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Takes an answer apart.
#[derive(Debug)]
pub struct Parts<R> {
    input: R,
    mark: String,
    /// Bytes of a body that are kept.
    longest: usize,
    next: Option<Part>,
}

impl<R: BufRead> Parts<R> {
    /// Reads an answer whose parts begin with this mark; of longer bodies the rest is dropped.
    pub fn new(input: R, mark: &str, longest: usize) -> Self {
        Self {
            input,
            mark: format!("{mark} "),
            longest,
            next: None,
        }
    }

    /// The next part that is complete: the next one has begun, or the answer has ended. [`END`] and [`RAW`] have no body: whoever
    /// prints the one may wait for an order then, and what follows the other is not ours to read.
    pub fn next(&mut self) -> io::Result<Option<Part>> {
        if let Some(part) = self.take_bodiless() {
            return Ok(Some(part));
        }
        let mut at_line_start = true;
        loop {
            let mut line = Vec::new();
            let read = self
                .input
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(self.next.take().map(finished));
            }
            let head = at_line_start
                .then(|| line.strip_prefix(self.mark.as_bytes()))
                .flatten();
            at_line_start = line.ends_with(b"\n");
            if let Some(head) = head {
                let head = String::from_utf8_lossy(head)
                    .trim_end_matches('\n')
                    .to_owned();
                let (kind, words) = head.split_once(' ').unwrap_or((&head, ""));
                let begun = Part {
                    kind: kind.to_owned(),
                    words: words.to_owned(),
                    body: Vec::new(),
                };
                if let Some(part) = self.next.replace(begun) {
                    return Ok(Some(finished(part)));
                }
                if let Some(part) = self.take_bodiless() {
                    return Ok(Some(part));
                }
            } else if let Some(part) = &mut self.next {
                // One byte more than allowed shows that there was more; another for the newline that ends every body.
                let room = (self.longest + 2).saturating_sub(part.body.len());
                part.body.extend(line.into_iter().take(room));
            }
        }
    }
}

impl<R> Parts<R> {
    /// The part that has begun, if its first line is all of it.
    fn take_bodiless(&mut self) -> Option<Part> {
        self.next
            .take_if(|part| part.kind == END || part.kind == RAW)
    }

    /// The rest of the answer, after the part [`RAW`].
    pub fn into_rest(self) -> R {
        self.input
    }
}

/// Before each part stands a newline of its own.
fn finished(mut part: Part) -> Part {
    if part.body.ends_with(b"\n") {
        part.body.pop();
    }
    part
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A part as a script would have printed it.
    pub fn part(kind: &str, words: &str, body: &str) -> Part {
        Part {
            kind: kind.to_owned(),
            words: words.to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn all(text: &str, longest: usize) -> Vec<Part> {
        let mut parts = Parts::new(text.as_bytes(), "m4rk", longest);
        std::iter::from_fn(|| parts.next().expect("no error")).collect()
    }

    #[test]
    fn parts_are_told_apart_and_bodies_are_whole() {
        let text = "welcome!\n\nm4rk now 12\n\nm4rk record /a b\n{\n}\n\nm4rk file\nno newline\nm4rk end\n";
        assert_eq!(
            all(text, 100),
            [
                part("now", "12", ""),
                part("record", "/a b", "{\n}\n"),
                part("file", "", "no newline"),
                part("end", "", "")
            ]
        );
    }

    #[test]
    fn what_is_not_at_the_start_of_a_line_is_content() {
        let long = "x".repeat(70_000);
        let text = format!("m4rk a\n x m4rk b\n{long}m4rk c\nm4rkd\n");
        let found = all(&text, 1_000_000);
        assert_eq!(found.len(), 1, "{found:?}");
        // A piece of a long line that happens to begin with the mark.
        let cut = format!(
            "m4rk a\n{}m4rk b\n",
            "x".repeat(usize::try_from(LONGEST_LINE).expect("small"))
        );
        assert_eq!(all(&cut, 1_000_000).len(), 1);
    }

    #[test]
    fn what_follows_the_last_part_is_handed_over_as_it_is() {
        let mut parts = Parts::new(&b"m4rk a\nx\n\nm4rk raw\n\x00\x01m4rk b\n"[..], "m4rk", 100);
        let kinds: Vec<String> = std::iter::from_fn(|| {
            let part = parts.next().expect("no error").expect("a part");
            (part.kind != RAW).then_some(part.kind)
        })
        .collect();
        assert_eq!(kinds, ["a"]);
        assert_eq!(parts.into_rest(), b"\x00\x01m4rk b\n");
    }

    #[test]
    fn a_long_body_is_cut_so_that_it_shows() {
        let found = all(&format!("m4rk a\n{}\n\nm4rk b\n", "y".repeat(50)), 10);
        assert!((11..=12).contains(&found[0].body.len()), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}
