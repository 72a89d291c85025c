//! The id of a job of Slurm, in the form that each of its programs takes for this job only. PURE.
//!
//! docs/design/engines-in-slurm.md explains the design.

use core::fmt::{Display, Formatter, Result};

/// One job. The element of an array that starts last has the array's own number: `scancel 6` and `squeue --jobs=6` then mean
/// all of the array, and only `6_2` means that element. srun knows numbers only, and means one job by each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobId {
    number: String,
    name: Option<String>,
}

impl JobId {
    /// The job of this number that squeue (`%i`) calls `shown`; `None` where the number is none.
    ///
    /// Of a heterogeneous job `9+0` is the first component, and its number names the whole job.
    #[must_use]
    pub fn shown(number: &str, shown: &str) -> Option<Self> {
        let name = match shown.split_once('+') {
            Some((job, "0")) if job == number => None,
            Some((job, component)) => {
                (is_number(job) && is_number(component)).then(|| shown.to_owned())
            }
            None => element(shown)
                .map(|_| shown.to_owned())
                .or_else(|| waiting_elements(shown)),
        };
        is_number(number).then(|| Self {
            number: number.to_owned(),
            name,
        })
    }

    /// The job that these variables of its own environment describe: `SLURM_JOB_ID`, `SLURM_ARRAY_JOB_ID` and `SLURM_ARRAY_TASK_ID`.
    /// The last two are inherited by a job that was submitted within an element; they hold for sure where the array's number is the
    /// job's own, and elsewhere the number means this job only.
    #[must_use]
    pub fn of_variables(number: &str, array: Option<&str>, index: Option<&str>) -> Option<Self> {
        let own = array.filter(|array| *array == number).zip(index);
        let shown = own.map(|(array, index)| format!("{array}_{index}"));
        Self::shown(number, shown.as_deref().unwrap_or(number))
    }

    /// For `srun --jobid`, the ids of steps and the names of files: `7`.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// For scancel, squeue, `scontrol show job` and people: `7`, or `6_2` for an element of an array.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.number)
    }

    /// The number of the array that it belongs to.
    #[must_use]
    pub fn array(&self) -> Option<&str> {
        let (array, _) = self.name.as_deref()?.split_once('_')?;
        Some(array)
    }

    /// Whether it stands for several elements that wait, and not for one job.
    #[must_use]
    pub fn is_several(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.ends_with(']'))
    }

    /// Whether it is the element `6_2`, or stands for it while it waits.
    #[must_use]
    pub fn holds(&self, named: &str) -> bool {
        let (Some(name), Some((array, index))) = (&self.name, element(named)) else {
            return false;
        };
        if name == named {
            return true;
        }
        let ranges = name.strip_prefix(array).and_then(|rest| {
            rest.strip_prefix("_[")
                .and_then(|rest| rest.strip_suffix(']'))
        });
        let (Some(ranges), Ok(index)) = (ranges, index.parse::<u32>()) else {
            return false;
        };
        ranges.split(',').any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            // `0-9:3` is every third.
            let (last, step) = last.split_once(':').unwrap_or((last, "1"));
            match (first.parse::<u32>(), last.parse::<u32>(), step.parse()) {
                (Ok(first), Ok(last), Ok(step)) => {
                    (first..=last).contains(&index) && (index - first).checked_rem(step) == Some(0)
                }
                _ => false,
            }
        })
    }

    /// The same job by the name of one of the elements that it stands for.
    #[must_use]
    pub fn named(&self, element: &str) -> Self {
        Self {
            number: self.number.clone(),
            name: Some(element.to_owned()),
        }
    }
}

impl Display for JobId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.name())
    }
}

/// Whether this is a job's number.
#[must_use]
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word reads as a job: `7`, `6_2` or `9+1`.
#[must_use]
pub fn reads_as_a_job(word: &str) -> bool {
    let is_component = |(job, component)| is_number(job) && is_number(component);
    is_number(word) || element(word).is_some() || word.split_once('+').is_some_and(is_component)
}

/// The array and the index of `6_2`.
#[must_use]
pub fn element(text: &str) -> Option<(&str, &str)> {
    text.split_once('_')
        .filter(|(array, index)| is_number(array) && is_number(index))
}

/// `6_[0-2,5]` of squeue's `6_[0-2,5%2]`: `%2` says how many may run at once, and is not for scancel.
fn waiting_elements(shown: &str) -> Option<String> {
    let (array, list) = shown.strip_suffix(']')?.split_once("_[")?;
    let list = list.split('%').next()?;
    // A long list ends with dots.
    let plain = |char: char| char.is_ascii_digit() || "-,:.".contains(char);
    (is_number(array) && !list.is_empty() && list.chars().all(plain))
        .then(|| format!("{array}_[{list}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(number: &str, shown: &str) -> (String, String, Option<String>) {
        let job = JobId::shown(number, shown).expect("a job");
        let array = job.array().map(str::to_owned);
        (job.number().to_owned(), job.name().to_owned(), array)
    }

    #[test]
    fn each_program_gets_what_means_this_job_only() {
        for (number, shown, name, array) in [
            ("7", "7", "7", None),
            ("7", "6_0", "6_0", Some("6")),
            // The last element to start.
            ("6", "6_2", "6_2", Some("6")),
            ("6", "6_[0-2,5%2]", "6_[0-2,5]", Some("6")),
            ("9", "9+0", "9", None),
            ("10", "9+1", "9+1", None),
            ("7", "7;id", "7", None),
            ("7", "6_$(id)", "7", None),
            ("7", "6_[$(id)]", "7", None),
        ] {
            let expected = (number.to_owned(), name.to_owned(), array.map(str::to_owned));
            assert_eq!(names(number, shown), expected, "{shown}");
        }
        assert_eq!(JobId::shown("x", "x"), None);
        assert_eq!(JobId::shown("", ""), None);
    }

    #[test]
    fn variables_of_another_job_are_not_believed() {
        let name = |number, array, index| {
            let job = JobId::of_variables(number, array, index).expect("a job");
            job.name().to_owned()
        };
        assert_eq!(name("6", Some("6"), Some("2")), "6_2");
        assert_eq!(name("6", None, None), "6");
        assert_eq!(name("6", Some("6"), Some("x")), "6");
        // Submitted within 6_2, or an element with a number of its own: the number means it alone.
        assert_eq!(name("8", Some("6"), Some("2")), "8");
    }

    #[test]
    fn elements_that_wait_are_found_in_what_stands_for_them() {
        let rest = JobId::shown("6", "6_[0-2,5,10-20:5%2]").expect("a job");
        for (element, held) in [
            ("6_0", true),
            ("6_2", true),
            ("6_3", false),
            ("6_5", true),
            ("6_15", true),
            ("6_16", false),
            ("7_0", false),
            ("6", false),
        ] {
            assert_eq!(rest.holds(element), held, "{element}");
        }
        assert!(rest.is_several());
        let one = JobId::shown("6", "6_2").expect("a job");
        assert!(one.holds("6_2") && !one.holds("6_1") && !one.is_several());
    }

    #[test]
    fn what_reads_as_a_job_is_told_from_a_name() {
        for word in ["7", "6_2", "9+1"] {
            assert!(reads_as_a_job(word), "{word}");
        }
        for word in ["", "job_7", "7_", "_7", "6_2_1", "7a", "9+", "1.0"] {
            assert!(!reads_as_a_job(word), "{word}");
        }
    }
}
