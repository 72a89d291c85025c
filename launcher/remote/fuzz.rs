//! What comes from another machine, in every form that chance finds: squeue's lines, ssh's output (records: `record/fuzz.rs`). And what a
//! person names, which goes to ssh and to a shell.

use super::parts::Parts;
use super::queue::Line;
use super::ssh::words_of;
use super::target::{Host, Job, Target};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn targets_are_read_as_they_were_named(host in "([a-z][a-z0-9._-]{0,9}@)?[a-z0-9][a-z0-9.-]{0,12}", job in 0..u32::MAX, index in 0..999_u32) {
        let read = |text: String| Target::read(&text).expect("a target");
        let target = read(format!("{host}:{job}"));
        prop_assert_eq!(target.host.as_ref().map(Host::as_str), Some(host.as_str()));
        prop_assert_eq!(target.job, Some(Job::Id(job.to_string())));
        let element = format!("{job}_{index}");
        prop_assert_eq!(read(element.clone()).job, Some(Job::Element(element)));
    }

    #[test]
    fn no_target_reaches_a_shell_or_ssh_as_more_than_a_name(text in "\\PC{0,20}|[-a-z0-9@:\\[\\]%._/$`;' \n]{0,16}") {
        if let Ok(target) = Target::read(&text) {
            let words = [target.host.as_ref().map(Host::as_str), target.job.as_ref().map(Job::as_str)];
            for word in words.into_iter().flatten() {
                prop_assert!(!word.is_empty() && !word.starts_with('-') && !word.contains('/'));
                prop_assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || "._@+=-:%".contains(c)), "{:?}", word);
            }
        }
    }

    #[test]
    fn a_line_of_squeue_is_read_whatever_the_name_is(id in any::<u32>(), start in any::<u32>(), nodes in 1..9999_u32, name in "\\PC{1,20}") {
        let line = format!("{id}|{id}|RUNNING|{nodes}|{start}|N/A|n[1-2]|ada|None|{name}");
        let line = Line::read(&line).expect("a line");
        prop_assert_eq!(line.job.name(), id.to_string());
        prop_assert_eq!((line.start, line.end), (Some(i64::from(start)), None));
        prop_assert_eq!(line.node_count, Some(nodes));
    }

    #[test]
    fn no_line_of_squeue_does_harm(text in "(?s).{0,60}|[0-9]{1,4}\\|([A-Z0-9|\u{1b}\\[a-z/.-]|\\PC){0,60}") {
        if let Some(line) = Line::read(&text) {
            for text in [line.job.number(), line.job.name(), &line.shown, &line.state, &line.user, &line.name] {
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
            prop_assert!(line.job.name().chars().all(|char| char.is_ascii_digit() || "_+[]-,:.".contains(char)));
            let _ = line.phase();
        }
    }

    #[test]
    fn an_answer_over_ssh_is_taken_apart_as_it_was_put_together(
        motd in "([a-z !]{0,9}\n){0,3}", bodies in vec(("[a-z]{1,6}", "[ -~]{0,12}", vec(any::<u8>(), 0..60)), 0..5),
    ) {
        let mut answer = motd.into_bytes();
        for (kind, words, body) in &bodies {
            answer.extend(format!("\n0123456789abcdef {kind} {words}\n").bytes());
            answer.extend(body);
        }
        let mut parts = Parts::new(answer.as_slice(), "0123456789abcdef", 1000);
        for (kind, words, body) in &bodies {
            let part = parts.next().expect("no error").expect("a part");
            prop_assert_eq!((&part.kind, &part.words), (kind, words));
            // The newline before the next part is none of the body; the last body may end with one of its own.
            let end = body.strip_suffix(b"\n").unwrap_or(body);
            prop_assert!(&part.body == body || part.body == end);
        }
        prop_assert!(parts.next().expect("no error").is_none());
    }

    #[test]
    fn no_answer_over_ssh_grows(text in vec(prop_oneof![Just(b"\nm4rk ".to_vec()), vec(any::<u8>(), 0..40)], 0..20), longest in 0..50_usize) {
        let answer = text.concat();
        let mut parts = Parts::new(answer.as_slice(), "m4rk", longest);
        let mut all = 0;
        while let Some(part) = parts.next().expect("no error") {
            prop_assert!(part.body.len() <= longest + 2);
            all += part.kind.len() + part.words.len() + part.body.len();
        }
        // What is no text takes more room as text.
        prop_assert!(all <= answer.len() * 3);
        let words = words_of(&String::from_utf8_lossy(&answer));
        prop_assert!(words.lines().count() <= 30 && !words.replace('\n', "").contains(char::is_control));
    }
}
