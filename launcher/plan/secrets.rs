//! What only this job's own processes may know.

use super::curve;
use super::text::Text;

/// What only this job's own processes may know: 256 random bits each, as hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What the controller, engines and clients sign messages with.
    pub key: Text,
    /// What Jupyter asks its users for.
    pub token: Text,
    /// What stands before all pages of Jupyter's, with a slash at both ends (64 bits): servers on other ports do not get its cookies.
    pub path: String,
    /// What the controller encrypts with.
    pub curve: curve::Pair,
}

impl Secrets {
    /// All of them, as other programs may write them into their logs.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let words = [
            self.key.reveal(),
            self.token.reveal(),
            self.path.trim_matches('/'),
            self.curve.public.reveal(),
            self.curve.secret.reveal(),
        ];
        words.map(str::to_owned).to_vec()
    }
}

/// A line without these words: Jupyter's log has the path in each request.
#[must_use]
pub fn without(line: &str, words: &[String]) -> String {
    let words = words.iter().filter(|word| !word.is_empty());
    words.fold(line.to_owned(), |line, word| {
        line.replace(word.as_str(), "<secret>")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_log_is_a_secret() {
        let text = |text: &str| Text::Secret(text.to_owned());
        let secrets = Secrets {
            key: text("the-key"),
            token: text("the-token"),
            path: "/0123456789abcdef/".to_owned(),
            curve: curve::Pair::of([7; 32]),
        };
        let line = format!(
            "[I ServerApp] http://n1:80/0123456789abcdef/lab?token=the-token %2F0123456789abcdef%2F the-key {} {}",
            secrets.curve.secret.reveal(),
            secrets.curve.public.reveal()
        );
        assert_eq!(
            without(&line, &secrets.words()),
            "[I ServerApp] http://n1:80/<secret>/lab?token=<secret> %2F<secret>%2F <secret> <secret> <secret>"
        );
        assert_eq!(without("a line", &[String::new()]), "a line");
    }
}
