//! Terminals of the job's Jupyter: they have the environment that the job was started in, and the user's rc files are read.

use super::python;
use crate::support::{Job, Place, binary, program, venv};
use std::fs;
use std::path::Path;

/// What a terminal shows for a command.
fn typed(place: &Place, venv: &Path, job: &Job, command: &str) -> String {
    let path = job.profile().join("ipjob.json");
    let path = path.to_str().expect("text");
    python::run(place, venv, "terminal.py", &[path, command])
        .trim()
        .to_owned()
}

/// Starts a Jupyter whose user has this shell; `rc` is that shell's own file, which sets a variable.
fn with_shell(place: &Place, shell: &str, rc: &str, text: &str, front_end: &str) -> Job {
    let rc = place.dir().join(rc);
    fs::create_dir_all(rc.parent().expect("a directory")).expect("made");
    fs::write(rc, text).expect("written");
    let mut command = place.ipjob(["--mode", "notebook", "-n", "1", "--frontend", front_end]);
    command
        .env("SHELL", shell)
        // Modules of many sites set it.
        .env("PYTHONPATH", place.dir().join("nothing"));
    Job::spawn(place, "job_local", command)
}

#[test]
fn a_terminal_finds_what_the_job_was_started_with_in_every_shell() {
    for (name, front_end) in [("main", "lab"), ("nb6", "notebook")] {
        let venv = needed!(venv(name));
        for (shell, rc, text) in [
            ("bash", ".bashrc", "export FROM_RC=read\n"),
            ("zsh", ".zshrc", "export FROM_RC=read\n"),
            ("fish", ".config/fish/config.fish", "set -x FROM_RC read\n"),
        ] {
            let Ok(shell) = program(&["/bin", "/usr/bin"], &[shell]) else {
                continue;
            };
            let shell = shell.to_str().expect("text");
            let place = Place::with_venv(&venv);
            let mut job = with_shell(&place, shell, rc, text, front_end);
            job.wait_ready();
            let asked = "command -v python; command -v ipjob; echo $FROM_RC";
            let shown = typed(&place, &venv, &job, asked);
            let wanted = [
                venv.join("bin/python").display().to_string(),
                binary().display().to_string(),
                "read".to_owned(),
            ];
            let lines: Vec<&str> = shown.lines().map(str::trim).collect();
            for line in &wanted {
                assert!(
                    lines.iter().any(|shown| shown.ends_with(line.as_str())),
                    "{shell}, {front_end}: no {line:?} in:\n{shown}"
                );
            }
            job.stop();
        }
    }
}

#[test]
fn an_interactive_ipython_has_the_jobs_client_and_a_plain_python_names_the_profile() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = with_shell(&place, "/bin/bash", ".bashrc", "", "lab");
    job.wait_ready();
    let ids = "print('ids', ipp.Client(profile=profile).ids)";
    let code = |profile: &str| format!("import os, ipyparallel as ipp; profile = {profile}; {ids}");
    for asked in [
        format!(
            "ipython --no-banner --simple-prompt <<<\"{}\"",
            code("None")
        ),
        format!(
            "python -c \"{}\"",
            code("os.environ['IPJOB_CLIENT_PROFILE']")
        ),
    ] {
        let shown = typed(&place, &venv, &job, &asked);
        assert!(shown.contains("ids [0]"), "{asked}: {shown}");
    }
    job.stop();
}

#[test]
fn a_shell_command_of_the_users_own_holds() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let dir = place.dir().join(".jupyter");
    fs::create_dir(&dir).expect("a directory");
    let own = place.script("own-shell", "MINE=yes exec /bin/sh");
    let setting = format!(
        "c.ServerApp.terminado_settings = {{'shell_command': ['{}']}}\n",
        own.display()
    );
    fs::write(dir.join("jupyter_server_config.py"), setting).expect("a file");
    let mut job = with_shell(&place, "/bin/bash", ".bashrc", "", "lab");
    job.wait_ready();
    assert_eq!(typed(&place, &venv, &job, "echo $MINE"), "yes");
    job.stop();
}
