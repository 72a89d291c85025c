//! Taking secrets out of a text that others will read.

/// Parts of variables' names whose values are nobody's business.
const SECRET_NAMES: [&str; 8] = [
    "TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH", "COOKIE", "SESSION",
];

/// What stands in a secret's place.
const REMOVED: &str = "<removed>";

/// So many hexadecimal digits in a row are a key or a token, wherever they stand (ipjob's own have 64).
const SHORTEST_KEY: usize = 32;

/// Whether a variable's value is kept back.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.starts_with("IPP_") || SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// The variables, one a line and sorted, secret values removed.
#[must_use]
pub fn environment(variables: &[(String, String)]) -> Vec<String> {
    let mut lines: Vec<String> = variables
        .iter()
        .map(|(name, value)| {
            let value = if is_secret(name) { REMOVED } else { value };
            format!("{name}={value}")
        })
        .collect();
    lines.sort();
    lines
}

/// The text without the values of secret variables, without long hexadecimal numbers, `token=...` and passwords in addresses.
#[must_use]
pub fn remove(text: &str, variables: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (_, value) in variables
        .iter()
        .filter(|(name, value)| is_secret(name) && value.len() >= 8)
    {
        text = text.replace(value.as_str(), REMOVED);
    }
    text.lines().map(|line| line_without(line) + "\n").collect()
}

fn line_without(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits >= SHORTEST_KEY {
            out.push_str(REMOVED);
            rest = &rest[digits..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("token=") {
            out.push_str("token=");
            out.push_str(REMOVED);
            rest = after
                .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_.~%".contains(c));
            continue;
        }
        if let Some(after) = rest.strip_prefix("://") {
            out.push_str("://");
            let host = after.find(['/', ' ', '"', '\'']).unwrap_or(after.len());
            rest = match after[..host].rfind('@') {
                Some(at) => {
                    out.push_str(REMOVED);
                    &after[at..]
                }
                None => after,
            };
            continue;
        }
        let step = digits.max(rest.chars().next().map_or(1, char::len_utf8));
        out.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left() {
        let variables = [
            ("MY_API_TOKEN".to_owned(), "correct horse".to_owned()),
            ("IPP_CONNECTION_INFO".to_owned(), "{\"a\": 1}".to_owned()),
            ("HOME".to_owned(), "/home/alice".to_owned()),
        ];
        let key = "0123456789abcdef".repeat(4);
        let text = format!(
            "x correct horse y {key} http://n1:80/lab?token=a-b_c&z ftp://me:pw@host/ {{\"a\": 1}} \u{e9}"
        );
        assert_eq!(
            remove(&text, &variables),
            "x <removed> y <removed> http://n1:80/lab?token=<removed>&z ftp://<removed>@host/ <removed> \u{e9}\n"
        );
        assert_eq!(
            environment(&variables),
            [
                "HOME=/home/alice",
                "IPP_CONNECTION_INFO=<removed>",
                "MY_API_TOKEN=<removed>"
            ]
        );
    }
}

#[cfg(test)]
mod fuzz {
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
}
