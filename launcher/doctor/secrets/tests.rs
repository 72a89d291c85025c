//! What is taken out of a report, and what stays.

use super::*;

#[test]
fn no_secret_is_left() {
    let variables = [
        ("MY_API_TOKEN".to_owned(), "correct horse".to_owned()),
        ("IPP_CONNECTION_INFO".to_owned(), "{\"a\": 1}".to_owned()),
        ("HOME".to_owned(), "/home/alice".to_owned()),
        ("SLURM_JOB_ID".to_owned(), "7".to_owned()),
        ("SLURM_JWT".to_owned(), "ey.J.x".to_owned()),
        ("GITHUB_PAT".to_owned(), "ghp_1234".to_owned()),
        ("MYSQL_PWD".to_owned(), "hunter2".to_owned()),
        ("LDAP_BIND_PW".to_owned(), "hunter3".to_owned()),
        ("IPJOB_JUPYTER_ARG".to_owned(), "--password=x".to_owned()),
        ("SLURM_EXPORT_ENV".to_owned(), "A=b".to_owned()),
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
            "GITHUB_PAT",
            "HOME=/home/alice",
            "IPJOB_JUPYTER_ARG",
            "IPP_CONNECTION_INFO",
            "LDAP_BIND_PW",
            "MYSQL_PWD",
            "MY_API_TOKEN",
            "SLURM_EXPORT_ENV",
            "SLURM_JOB_ID=7",
            "SLURM_JWT"
        ]
    );
}

#[test]
fn what_is_removed_tells_nothing_and_what_stays_is_no_secret() {
    let removed = |text: &str, pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        let owned: Vec<(String, String)> = pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        remove(text, &owned)
    };
    // A key in base64 may begin as paths do.
    for (value, stays) in [
        ("/9j4AAQSkZJRg+abc/def==", false),
        ("/usr/nowhere/bin", true),
        ("/usr/lib:/usr/lib64", true),
        ("/usr/lib:/9j4AAQSkZ", false),
        ("/usr/lib:hunter-22", false),
    ] {
        let text = removed(value, &[("SITE_THING", value)]);
        assert_eq!(text.contains(value), stays, "{text}");
    }
    // The longer first, whatever comes first in the environment.
    let both = [("SITE_A", "abcd_1234"), ("SITE_B", "abcd_1234_more")];
    assert_eq!(removed("x abcd_1234_more y", &both), "x <removed> y\n");
    for (name, value, stays) in [
        ("CLUSTER_NAME", "perlmutter", true),
        ("OSTYPE", "linux-gnu", true),
        ("SITE_NODE", "nid00-node0042", true),
        ("SITE_PATTERN", "perlmutter", true),
        ("SITE_PASSWORD", "perlmutter", false),
        ("site_api_token", "perlmutter", false),
        ("LDAP_BIND_PW", "correct-horse", false),
        ("GITHUB_PAT", "correcthorse", false),
        ("SITE_X", "a8f3k2m9q", false),
        ("SITE_X", "hUnTeRtWo", false),
        ("SITE_X", "hunter_two", false),
        ("SITE_X", "12345678", false),
    ] {
        let text = removed(value, &[(name, value)]);
        assert_eq!(text.contains(value), stays, "{name}: {text}");
    }
}

#[test]
fn jupyters_path_is_removed_wherever_its_log_has_it() {
    let path = "0123456789abcdef";
    let text = format!(
        "http://n1:80/{path}/lab?token=... GET /{path}/api next=%2F{path}%2Flab http://n1:80/{path}"
    );
    let removed = remove(&text, &[]);
    assert!(!removed.contains(path), "{removed}");
    for kept in [
        "/0123456789abcdef.so",
        "/0123456789abcde/x",
        "job 0123456789abcdef",
    ] {
        assert_eq!(remove(kept, &[]), format!("{kept}\n"));
    }
}
