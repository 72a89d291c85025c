//! Secrets in any text.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_secret_survives_wherever_it_stands(
        key in "[0-9a-f]{32,80}", value in "[A-Z]{8,20}", password in "[A-Z]{3,9}[@:]?[A-Z]{2,5}",
        before in "\\PC{0,20}", after in "[ /\"']\\PC{0,20}",
    ) {
        let variables = [("MY_PASSWORD".to_owned(), value.clone())];
        for (secret, text) in [
            (&key, format!("{before} {key}{after}")),
            (&value, format!("{before}{value}{after}")),
            (&key, format!("{before}token={key}{after}")),
            (&password, format!("{before} http://me:{password}@host{after}")),
        ] {
            let removed = remove(&text, &variables);
            // What the text has of it elsewhere, by chance, is no secret.
            prop_assert!(!removed.contains(secret.as_str()) || before.contains(secret.as_str()) || after.contains(secret.as_str()), "{}", removed);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,60}|(://|@|token=|[0-9a-f]{31,33}|\\PC){0,12}") {
        let _ = remove(&text, &[]);
    }
}
