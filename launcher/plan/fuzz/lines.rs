//! Lines that programs print: tasks' reports, srun's own words, versions.

use crate::plan::exit::Exit;
use crate::plan::last_words::LastWords;
use crate::plan::share::Share;
use crate::plan::task_lines::{Line, Report, Topic, Words, read};
use crate::plan::version::Version;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_report_arrives_as_it_was_told(
        rank in any::<u32>(), pid in any::<u32>(), node in "[a-z0-9.-]{1,20}", step in "-|[0-9]{1,6}\\.[0-9]{1,4}", memory in prop::option::of(any::<u64>()), label in "|[0-9]{1,4}: | [0-9]: ",
    ) {
        let step = (step != "-").then_some(step);
        let report = Report { rank, node, pid, step, memory, share: Share::default() };
        prop_assert_eq!(read(&format!("{label}{}", report.line())), Some(Line::Task(report)));
    }

    #[test]
    fn no_line_of_a_program_is_believed_more_than_it_says(
        head in "|[0-9]{1,3}: |srun: |srun: error: |0: slurmstepd-node1: error: |\\[2026-11-27T05:03:38\\] error: |\\PC{0,6}",
        middle in "|Detected 1 oom_kill event in StepId=1.|\\*\\*\\* STEP 1.|ipjob-engine rank |ipjob-engine not forked on node2: |ipjob-engine cannot import x on node2: |ipjob-engine world of |node2: tasks? |\\PC{0,8}",
        end in "[0-9,: -]{0,14}|[0-9]{1,3} on \\PC{1,5} pid [0-9]{1,3} step \\PC{1,5}|\\PC{0,40}",
    ) {
        let line = format!("{head}{middle}{end}");
        match read(&line) {
            Some(Line::Task(report)) => {
                prop_assert!(line.contains("ipjob-engine rank "));
                prop_assert!(!report.node.contains(|c: char| c.is_whitespace() || c.is_control()));
            }
            Some(Line::World(world)) => {
                prop_assert!(line.contains("ipjob-engine world of "), "{:?}", world);
            }
            Some(Line::Sees(sight)) => prop_assert!(line.contains("ipjob-engine sees pid "), "{:?}", sight),
            Some(Line::Unbound(told)) => {
                prop_assert!(!told.node.contains(char::is_whitespace) && !told.why.contains(char::is_control));
            }
            Some(Line::Rest(rest)) => prop_assert!(line.contains(&rest.line()) || line.contains("ipjob-engine ")),
            Some(Line::Srun(words)) => {
                let counted = words.text.contains("Detected ") && words.about == Some(Topic::OutOfMemory);
                prop_assert!(words.text.starts_with("srun: ") || counted);
                prop_assert!(words.tasks.is_empty() || words.text.contains(": task") && words.tasks.len() <= 200_000);
            }
            Some(Line::NotForked(told)) => {
                prop_assert!(line.contains("ipjob-engine not forked on "));
                prop_assert!(!told.to_string().contains(char::is_control));
            }
            Some(Line::NotImported(told)) => {
                prop_assert!(line.contains("ipjob-engine cannot import "));
                prop_assert!(!told.to_string().contains(char::is_control));
            }
            Some(Line::Waits(text)) => prop_assert!(text.starts_with("srun: ")),
            None => {}
        }
    }

    #[test]
    fn last_words_are_words_of_the_log_and_never_of_a_signals_end(
        lines in prop::collection::vec(
            "|[0-9]: |Traceback \\(most recent call last\\):|  File \"x\"|\\PC{0,9}Error: \\PC{0,9}|2026-11-26 19:23:35.6 \\[(IPEngine|KernelNanny)\\] (CRITICAL \\| )?\\PC{0,9}|\\[[CEI] 19:25 ServerApp\\] \\PC{0,9}|\\PC{0,30}", 0..12),
        code in 0..3_i32,
    ) {
        let all = lines.join("\n");
        if let Some(words) = LastWords::read(&Exit::Code(code), &lines) {
            for part in words.to_string().split(", after ") {
                prop_assert!(all.contains(part), "{part:?}");
            }
            prop_assert!(code == 1 || !matches!(words, LastWords::Exception(_)));
            let _ = (words.wrong_module(), words.closed_place());
        }
        let signal = Exit::Signal { number: 9, name: "SIGKILL".to_owned() };
        prop_assert_eq!(LastWords::read(&signal, &lines), None);
    }

    #[test]
    fn sruns_lists_of_tasks_are_read(first in 0..100_000_u32, more in 1..50_u32, other in 0..100_000_u32) {
        let line = format!("srun: error: node2: tasks {first}-{},{other}: Killed", first + more);
        let mut tasks: Vec<u32> = (first..=first + more).collect();
        tasks.push(other);
        prop_assert_eq!(read(&line), Some(Line::Srun(Words::new(&line, tasks))));
    }

    #[test]
    fn versions_keep_their_numbers_and_their_order(
        one in prop::collection::vec(0..30_u32, 1..5), other in prop::collection::vec(0..30_u32, 1..5), tail in "|rc1|\\.dev3|\\+cpu",
    ) {
        let text = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        let parse = |numbers: &[u32]| Version::parse(&(text(numbers) + &tail)).expect("a version");
        prop_assert_eq!(parse(&one).major(), one[0]);
        prop_assert_eq!(parse(&one).to_string(), text(&one) + &tail);
        if one != other {
            prop_assert_eq!(parse(&one) < parse(&other), one < other);
        }
    }

    #[test]
    fn no_text_makes_a_version_panic(text in "\\PC{0,20}|[0-9.]{0,30}") {
        if let Some(version) = Version::parse(&text) {
            prop_assert!(text.trim_start().starts_with(|c: char| c.is_ascii_digit()), "{}", version);
        }
    }
}
