//! Taking secrets out of a text that others will read.

use crate::cli::variables;
use std::fs;

/// Variables whose values tell of the machine and of software, and of nothing else.
const HARMLESS: [&str; 53] = [
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "COLUMNS",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "DISPLAY",
    "EDITOR",
    "FPATH",
    "GPU_DEVICE_ORDINAL",
    "HIP_VISIBLE_DEVICES",
    "HOME",
    "HOSTNAME",
    "INFOPATH",
    "IPJOB_CLIENT_PROFILE",
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_PATH",
    "JUPYTER_RUNTIME_DIR",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LINES",
    "LMOD_SYSTEM_DEFAULT_MODULES",
    "LOADEDMODULES",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "MANPATH",
    "MODULEPATH",
    "NO_COLOR",
    "NVIDIA_VISIBLE_DEVICES",
    "OLDPWD",
    "PATH",
    "PWD",
    "ROCR_VISIBLE_DEVICES",
    "SCRATCH",
    "SHELL",
    "SHLVL",
    "SINGULARITY_CONTAINER",
    "SINGULARITY_NAME",
    "SLURMD_NODENAME",
    "SSH_TTY",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "_LMFILES_",
];

/// The same of all that begins so: settings of Slurm's job and step, of MPI and threads.
const HARMLESS_BEGINNINGS: [&str; 43] = [
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "FI_",
    "I_MPI_",
    "KMP_",
    "LC_",
    "MKL_",
    "MPICH_",
    "MV2_",
    "NUMEXPR_",
    "OMP_",
    "OMPI_",
    "OPENBLAS_",
    "PMI_",
    "PMIX_",
    "SLURM_ARRAY_",
    "SLURM_CLUSTER",
    "SLURM_CONF",
    "SLURM_CPU",
    "SLURM_DIST",
    "SLURM_GPU",
    "SLURM_GTIDS",
    "SLURM_HET_",
    "SLURM_HINT",
    "SLURM_JOB_",
    "SLURM_JOBID",
    "SLURM_LAUNCH_",
    "SLURM_LOCALID",
    "SLURM_MEM",
    "SLURM_MPI_TYPE",
    "SLURM_NNODES",
    "SLURM_NODE",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_PARTITION",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "SLURM_STEP",
    "SLURM_SUBMIT_",
    "SLURM_TASK",
    "SLURM_TOPOLOGY_",
    "SLURM_WORKING_CLUSTER",
    "UCX_",
];

/// What sets defaults of sbatch, salloc and srun. `SBATCH_EXPORT` has variables with their values, `SBATCH_COMMENT` anything.
const SUBMISSION: [&str; 24] = [
    "SALLOC_ACCOUNT",
    "SALLOC_CONSTRAINT",
    "SALLOC_PARTITION",
    "SALLOC_QOS",
    "SALLOC_RESERVATION",
    "SALLOC_TIMELIMIT",
    "SBATCH_ACCOUNT",
    "SBATCH_CONSTRAINT",
    "SBATCH_CPUS_PER_TASK",
    "SBATCH_EXCLUSIVE",
    "SBATCH_GPUS",
    "SBATCH_MEM_PER_CPU",
    "SBATCH_MEM_PER_NODE",
    "SBATCH_NO_REQUEUE",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_REQUEUE",
    "SBATCH_RESERVATION",
    "SBATCH_SIGNAL",
    "SBATCH_TIMELIMIT",
    "SLURM_EXACT",
    "SLURM_OVERLAP",
    "SRUN_CPUS_PER_TASK",
    "SQUEUE_FORMAT",
];

/// What Python itself reads.
const PYTHON: [&str; 14] = [
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONFAULTHANDLER",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "PYTHONSAFEPATH",
    "PYTHONUNBUFFERED",
    "PYTHONUSERBASE",
    "PYTHONUTF8",
    "PYTHONWARNINGS",
];

/// Variables of ipjob's own whose values are commands, in which anything may stand.
const COMMANDS: [&str; 2] = ["IPJOB_ENGINE_WRAPPER", "IPJOB_ON_READY"];

/// Parts of names that are harmless by none of these: a password among a service's settings, and other programs' words. Open MPI's
/// `OMPI_MCA_orte_precondition_transports` is the key of a job's messages.
const SECRET_NAMES: [&str; 15] = [
    "TOKEN",
    "KEY",
    "SECRET",
    "PASS",
    "CRED",
    "AUTH",
    "COOKIE",
    "SESSION",
    "JWT",
    "COMMENT",
    "ARG",
    "COMMAND",
    "EXPORT",
    "PRECONDITION",
    "_PWD",
];

/// Words of names that are too short to be looked for inside of others (`PATTERN`).
const SECRET_WORDS: [&str; 2] = ["PAT", "PW"];

/// What stands in a secret's place.
pub const REMOVED: &str = "<removed>";

/// Shorter values of variables are words that stand in a text for other reasons.
const SHORTEST_VALUE: usize = 8;

/// So many hexadecimal digits in a row are a key or a token, wherever they stand (ipjob's own have 64).
const SHORTEST_KEY: usize = 32;

/// As many have a whole part of an address where it is Jupyter's path, which keeps others out (`Secrets::path`).
const PATH_DIGITS: usize = 16;

/// Whether a variable's value may be shown: only what is known to be harmless. What a site or a program calls its secrets
/// nobody can list (`SLURM_JWT`, `GITHUB_PAT`, `MYSQL_PWD`, `LDAP_BIND_PW`).
fn is_harmless(name: &str) -> bool {
    let known = HARMLESS.contains(&name)
        || PYTHON.contains(&name)
        || is_of_the_site(name)
        || HARMLESS_BEGINNINGS
            .iter()
            .any(|begin| name.starts_with(begin));
    known && !looks_secret(name) && !COMMANDS.contains(&name)
}

/// Whether a variable sets what a job of ipjob's gets by default: an option of ipjob's or of Slurm's programs.
pub fn is_of_the_site(name: &str) -> bool {
    SUBMISSION.contains(&name) || variables::is_an_options(name)
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
        || name.split('_').any(|word| SECRET_WORDS.contains(&word))
}

/// Whether a value is a word that the text has for other reasons: `perlmutter`, `linux-gnu`, `rocky-9`, `node042`.
fn is_plain_word(value: &str) -> bool {
    let is_word = |part: &str| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let capitals = letters.get(1..).unwrap_or_default();
        part.len() - letters.len() <= 4
            && letters.chars().all(|c| c.is_ascii_alphabetic())
            && (capitals.chars().all(|c| c.is_ascii_lowercase())
                || letters.chars().all(|c| c.is_ascii_uppercase()))
    };
    value.split('-').all(is_word)
}

/// The names of all that lies in `/`; nothing below is looked at, which may be a file system that hangs.
fn top() -> Vec<String> {
    let entries = fs::read_dir("/").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Whether a value is a path or several with colons between: each begins with a directory that there is. `/` alone says nothing:
/// one key of 64 in base64 begins with it.
fn is_paths(value: &str, top: &[String]) -> bool {
    value.split(':').all(|path| {
        let first = path
            .strip_prefix('/')
            .and_then(|rest| rest.split('/').next());
        first.is_some_and(|first| top.iter().any(|name| name == first))
    })
}

/// The variables, one a line and sorted: those that are known to be harmless with their values, of others the name.
#[must_use]
pub fn environment(variables: &[(String, String)]) -> Vec<String> {
    let mut lines: Vec<String> = variables
        .iter()
        .map(|(name, value)| {
            if is_harmless(name) {
                format!("{name}={value}")
            } else {
                name.clone()
            }
        })
        .collect();
    lines.sort();
    lines
}

/// The text without the values of other variables (but for paths, which say where things are, and for plain words where the name does
/// not look secret), without long hexadecimal numbers, Jupyter's path, `token=...` and passwords in addresses.
#[must_use]
pub fn remove(text: &str, variables: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    let top = top();
    let mut values: Vec<&str> = variables
        .iter()
        .filter(|(name, value)| {
            !is_harmless(name)
                && value.len() >= SHORTEST_VALUE
                && !is_paths(value, &top)
                && (looks_secret(name) || !is_plain_word(value))
        })
        .map(|(_, value)| value.as_str())
        .collect();
    // One value may be a part of another, of which the rest would stay.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        text = text.replace(value, REMOVED);
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
        if let Some(slash) = ["/", "%2F"].iter().find(|slash| rest.starts_with(**slash)) {
            out.push_str(slash);
            rest = &rest[slash.len()..];
            let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
            let ends =
                !rest[digits..].starts_with(|c: char| c.is_alphanumeric() || "-_.".contains(c));
            if digits == PATH_DIGITS && ends {
                out.push_str(REMOVED);
                rest = &rest[digits..];
            }
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
mod fuzz {
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
}

#[cfg(test)]
mod tests {
    //! What is taken out of a report, and what stays.

    use super::*;
    use crate::plan::sample::variables;

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
        let removed = |text: &str, pairs: &[(&str, &str)]| remove(text, &variables(pairs));
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
}
