//! What goes into a ticket: everything that helps, and no secret, wherever the machine has one.

use crate::support::{Job, Place, binary, venv};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Secrets in variables, with their names.
const VARIABLES: [(&str, &str); 16] = [
    ("JUPYTER_TOKEN", "planted-jupyter-token"),
    ("JUPYTERHUB_API_TOKEN", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
    (
        "IPJOB_JUPYTER_ARG",
        "--IdentityProvider.token=planted-argument",
    ),
    ("IPJOB_ON_READY", "curl -u ada:planted-hook https://site/"),
    ("IPJOB_ENGINE_WRAPPER", "env DB=planted-wrapper"),
    ("IPJOB_SITE_THING", "planted_in_no_option"),
    (
        "IPJOB_READY_URL",
        "http://127.0.0.1:1/plantedpath/lab?token=planted-url",
    ),
    ("PIP_INDEX_URL", "https://ada:planted-index@host/simple"),
    ("HTTPS_PROXY", "http://ada:planted-proxy@proxy:3128"),
    ("SBATCH_EXPORT", "ALL,API=planted-export"),
    ("SBATCH_COMMENT", "planted-comment"),
    ("PYTHONSTARTUP", "planted-startup"),
    ("SLURM_JWT", "eyJhbGciOiJIUzI1NiJ9.plantedjwt.x"),
    ("PMI_SHARED_SECRET", "1234567890planted"),
    (
        "OMPI_MCA_orte_precondition_transports",
        "a1b2c3d4e5f60718-planted8293a4b5c6",
    ),
    (
        "AWS_SECRET_ACCESS_KEY",
        "wJalrXUtnFEMI/K7MDENG/plantedEXAMPLE",
    ),
];

/// Variables that a ticket must show.
const SHOWN: [(&str, &str); 4] = [
    ("SBATCH_PARTITION", "short"),
    ("IPJOB_STOP_TIMEOUT", "7"),
    ("LOADEDMODULES", "ipjob/0.1:gcc/12"),
    ("OMP_NUM_THREADS", "2"),
];

/// What programs have written into a log, and the secret in each line.
const LINES: [(&str, &str); 11] = [
    ("connecting with password: planted horse", "planted horse"),
    ("db = connect(passwd='planted-db', n=2)", "planted-db"),
    ("{\"api_key\": \"planted-json\", \"a\": 1}", "planted-json"),
    ("Authorization: token planted-header", "planted-header"),
    (
        "GET http://n1:80/lab?token=planted-query HTTP/1.1",
        "planted-query",
    ),
    (
        "Looking in indexes: https://ada:planted-pip@host/simple",
        "planted-pip",
    ),
    (
        "c.PasswordIdentityProvider.hashed_password = 'argon2:$argon2id$v=19$plantedhash'",
        "plantedhash",
    ),
    ("+ tool --auth-token planted-option --n 3", "planted-option"),
    ("using ghp_PlantedA1b2C3d4", "PlantedA1b2C3d4"),
    ("session u7Ksx+QmB9/3pLz0aVbTtQ==", "u7Ksx+QmB9"),
    (
        "+ ssh -i <(echo '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaPLANTED\nAAAAplanted2\n-----END OPENSSH PRIVATE KEY-----') n1",
        "PLANTED",
    ),
];

/// Files of a home that hold secrets: nothing reads them, and nothing that is read repeats them.
const FILES: [(&str, &str); 6] = [
    (
        ".ssh/id_ed25519",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nplantedkeyfile\n-----END OPENSSH PRIVATE KEY-----\n",
    ),
    (
        ".ssh/config",
        "Host *\n  IdentityFile ~/.ssh/plantedidentity\n",
    ),
    (".netrc", "machine host login ada password plantednetrc\n"),
    (".pypirc", "[pypi]\npassword = plantedpypirc\n"),
    (
        ".config/pip/pip.conf",
        "[global]\nindex-url = https://ada:plantedpipconf@host/simple\n",
    ),
    (
        ".jupyter/jupyter_server_config.json",
        "{\"PasswordIdentityProvider\": {\"hashed_password\": \"argon2:$argon2id$v=19$m=10240,t=10,p=8$plantedsalt$plantedconfig\"}}\n",
    ),
];

fn put(home: &Path, name: &str, text: &str) {
    let path = home.join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, text).expect("a file");
}

#[test]
fn the_report_shows_what_helps_and_no_planted_secret() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    for (name, text) in FILES {
        put(place.dir(), name, text);
    }
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "1"]);
    let record = job.wait_ready();
    let log = job.profile().join("log/ipjob-engine-0.log");
    let mut log = fs::OpenOptions::new()
        .append(true)
        .open(log)
        .expect("an engine's log");
    for (line, _) in LINES {
        writeln!(log, "{line}").expect("written");
    }
    let client = fs::read_to_string(job.profile().join("security/ipcontroller-client.json"))
        .expect("a connection file");
    let client: serde_json::Value = serde_json::from_str(&client).expect("JSON");
    let url = record["url"].as_str().expect("a url").to_owned();

    let mut secrets: Vec<String> = VARIABLES
        .iter()
        .map(|(_, value)| (*value).to_owned())
        .collect();
    secrets.extend(LINES.iter().map(|(_, secret)| (*secret).to_owned()));
    secrets.push(record["token"].as_str().expect("a token").to_owned());
    secrets.push(url.split('/').nth(3).expect("a path").to_owned());
    for field in ["key", "curve_serverkey"] {
        secrets.extend(client[field].as_str().map(str::to_owned));
    }
    // All of the planted ones, however they are cut.
    secrets.extend(["planted", "PLANTED", "Planted"].map(str::to_owned));

    let mut doctor = place.ipjob(["doctor", "--report=-"]);
    let output = doctor
        .envs(VARIABLES)
        .envs(SHOWN)
        .output()
        .expect("it runs");
    let report = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for secret in &secrets {
        assert!(
            !report.contains(secret.as_str()),
            "{secret:?} is in\n{report}"
        );
    }
    let program = binary();
    let profile = job.profile().display().to_string();
    for part in SHOWN
        .map(|(name, value)| format!("\n{name}={value}\n"))
        .into_iter()
        .chain([
            format!("ipjob           {}", env!("CARGO_PKG_VERSION")),
            program.display().to_string(),
            "\nkernel          Linux ".to_owned(),
            "\nsystem          ".to_owned(),
            "\npython          Python 3.".to_owned(),
            "\nipyparallel     ".to_owned(),
            "\njupyterlab      ".to_owned(),
            "\nmpi4py          ".to_owned(),
            "\nok      ipcontroller".to_owned(),
            "\nPIP_INDEX_URL\n".to_owned(),
            "\nIPJOB_ON_READY\n".to_owned(),
            "\nMax processes ".to_owned(),
            " GiB free, ".to_owned(),
            "\nprofile_job_local: ready, 1 of 1 engines, started ".to_owned(),
            format!("==== record of {profile}"),
            format!("==== last lines of {profile}/log/ipjob-engine-0.log"),
            "connecting with password: <removed>".to_owned(),
        ])
    {
        assert!(report.contains(&part), "no {part:?} in\n{report}");
    }
    job.stop();

    // After the end, and into a file.
    let mut doctor = place.ipjob(["doctor", "--report"]);
    let output = doctor.envs(VARIABLES).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let report = fs::read_to_string(place.dir().join("ipjob-report.txt")).expect("a report");
    for secret in &secrets {
        assert!(
            !report.contains(secret.as_str()),
            "{secret:?} is in\n{report}"
        );
    }
    assert!(
        report.contains("\nprofile_job_local: ended, exit code 0, "),
        "{report}"
    );
}
