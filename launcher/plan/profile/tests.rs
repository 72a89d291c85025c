use super::*;

#[test]
fn what_is_taken_can_be_named_later() {
    for name in ["job_local", "a", "my.job@x+1-2", "7a", "job_6_2"] {
        assert_eq!(
            ProfileName::new(name).map(|name| name.to_string()),
            Ok(name.to_owned())
        );
    }
    for (name, fault) in [
        ("", "is empty"),
        ("my job", "has other characters"),
        ("a/b", "has other characters"),
        ("gr\u{f6}\u{df}e", "has other characters"),
        ("a\nb", "has other characters"),
        ("a:b", "has other characters"),
        (".", "begins with a dot"),
        ("a..b", "two dots"),
        ("-a", "a dash"),
        ("7", "reads as a job id"),
        ("6_2", "reads as a job id"),
        ("9+1", "reads as a job id"),
    ] {
        let told = ProfileName::new(name).expect_err(name);
        assert!(told.contains(fault), "{name}: {told}");
    }
    assert!(ProfileName::new(&"a".repeat(201)).is_err());
}

#[test]
fn what_earlier_versions_took_is_read() {
    for name in ["my job", "gr\u{f6}\u{df}e", "7", "-a"] {
        assert!(ProfileName::recorded(name).is_some(), "{name}");
    }
    for name in ["", "..", "a/b", "a\nb", "\u{1b}[31m"] {
        assert!(ProfileName::recorded(name).is_none(), "{name}");
    }
}
