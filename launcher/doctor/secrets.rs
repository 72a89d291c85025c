//! Taking secrets out of a text that others will read.

use std::fs;

/// Variables whose values tell of the machine and of software, and of nothing else.
const HARMLESS: [&str; 52] = [
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

/// The same of all that begins so: settings of Slurm's job and step, of MPI, threads, Python and ipjob.
const HARMLESS_BEGINNINGS: [&str; 45] = [
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "FI_",
    "I_MPI_",
    "IPJOB_",
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
    "PYTHON",
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

/// Parts of names that are harmless by none of these: a password among a service's settings, and other programs' words.
const SECRET_NAMES: [&str; 14] = [
    "TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH", "COOKIE", "SESSION", "JWT", "COMMENT", "ARG",
    "COMMAND", "EXPORT", "_PWD",
];

/// Words of names that are too short to be looked for inside of others (`PATTERN`).
const SECRET_WORDS: [&str; 2] = ["PAT", "PW"];

/// What stands in a secret's place.
const REMOVED: &str = "<removed>";

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
        || HARMLESS_BEGINNINGS
            .iter()
            .any(|begin| name.starts_with(begin));
    known && !looks_secret(name)
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
mod fuzz;
#[cfg(test)]
mod tests;
