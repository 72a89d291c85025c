//! What `ipjob restart` writes for the ipjob of the job to read. PURE. Two lines: the life that is meant, so that what an earlier one was
//! asked for means nothing to a later, and what it is to do.

/// The name of the file in the life's private directory.
pub const FILE: &str = "request";

/// A request to start engines again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id: letters, digits and `-`.
    pub id: String,
    /// Whether engines that live are to be ended and started again too.
    pub all: bool,
}

impl Request {
    /// The line that asks; the line before is the life's id.
    #[must_use]
    pub fn line(&self) -> String {
        let what = if self.all { "all" } else { "lost" };
        format!("restart {what} {}", self.id)
    }

    /// The request that a file says, if it is complete and meant for this life.
    #[must_use]
    pub fn read(text: &str, life: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != life {
            return None;
        }
        let mut words = lines.next()?.strip_prefix("restart ")?.split(' ');
        let all = match words.next()? {
            "all" => true,
            "lost" => false,
            _ => return None,
        };
        let id = words.next()?;
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '-';
        let good = !id.is_empty() && id.len() <= 64 && id.chars().all(plain);
        let over = words.next().is_none() && lines.next().is_none();
        (good && over).then(|| Self {
            id: id.to_owned(),
            all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_whole_and_by_the_life_that_is_meant() {
        for all in [false, true] {
            let request = Request {
                id: "12-ab".to_owned(),
                all,
            };
            let text = format!("life\n{}\n", request.line());
            assert_eq!(Request::read(&text, "life"), Some(request));
            assert_eq!(Request::read(&text, "another"), None);
            for cut in 0..text.len() {
                let part = text.get(..cut).unwrap_or_default();
                assert_eq!(Request::read(part, "life"), None, "{part:?}");
            }
        }
        for other in [
            "life\n",
            "life\nrestart some 1\n",
            "life\nrestart all \n",
            "life\nrestart all ../x\n",
            "life\nrestart all 1 2\n",
            "life\nrestart all 1\nmore\n",
        ] {
            assert_eq!(Request::read(other, "life"), None, "{other:?}");
        }
    }
}
