//! The Python package `ipjob` in python/: it is thin, of the program's version, and says what it lacks.

mod release;

use crate::support::{Job, Needed, Place, binary, chmod, pictures, program, venv};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the package lies.
fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A Python of that environment which finds the package and this program.
fn python(place: &Place, venv: &Path, code: &str) -> Command {
    let mut command = place.command(venv.join("bin/python"));
    command
        .args(["-c", code])
        .env("PYTHONPATH", package())
        .env("IPJOB", binary());
    command
}

fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a call of the package raises.
fn failure(command: &mut Command) -> String {
    let output = command.output().expect("Python");
    let shown = shown(&output);
    assert!(!output.status.success(), "{shown}");
    shown
}

/// The package as pip installs it: ipyparallel finds its launchers by what is beside it.
fn installed(place: &Place) -> Needed<PathBuf> {
    let packer = crate::support::venv("wheel")?;
    let wheels = place.dir().join("wheels");
    let output = place
        .command(packer.join("bin/hatchling"))
        .args(["build", "-t", "wheel", "-d"])
        .arg(&wheels)
        .current_dir(package())
        .output()
        .expect("hatchling");
    assert!(output.status.success(), "{}", shown(&output));
    Ok(unpacked(place, &packer, &only_file(&wheels)))
}

fn only_file(directory: &Path) -> PathBuf {
    let mut files = fs::read_dir(directory).expect("a directory").flatten();
    files.next().expect("a file").path()
}

/// Where pip has put it.
fn unpacked(place: &Place, venv: &Path, wheel: &Path) -> PathBuf {
    let site = place.dir().join("site");
    let output = place
        .command(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"])
        .arg("--target")
        .args([&site, wheel])
        .output()
        .expect("pip");
    assert!(output.status.success(), "{}", shown(&output));
    site
}

/// An environment with all that the other one has, and the package.
fn environment_with_package(place: &Place, venv: &Path) -> Needed<PathBuf> {
    let site = installed(place)?;
    let made = place.dir().join("venv");
    let output = place
        .command(venv.join("bin/python"))
        .args(["-m", "venv", "--without-pip"])
        .arg(&made)
        .output()
        .expect("venv");
    assert!(output.status.success(), "{}", shown(&output));
    let packages = |venv: &Path| {
        let mut libraries = fs::read_dir(venv.join("lib")).expect("libraries").flatten();
        let own = libraries.find(|entry| entry.file_name().to_string_lossy().starts_with("python"));
        own.expect("Python's").path().join("site-packages")
    };
    for entry in fs::read_dir(site).expect("the package").flatten() {
        let to = packages(&made).join(entry.file_name());
        fs::rename(entry.path(), to).expect("moved");
    }
    let others = packages(venv).display().to_string();
    fs::write(packages(&made).join("others.pth"), others).expect("written");
    for program in ["ipcontroller", "ipengine", "jupyter-lab"] {
        let Ok(text) = fs::read_to_string(venv.join("bin").join(program)) else {
            // There is no JupyterLab beside the oldest ipyparallel.
            continue;
        };
        let (_, rest) = text.split_once('\n').expect("lines");
        let script = format!("#!{}\n{rest}", made.join("bin/python").display());
        fs::write(made.join("bin").join(program), script).expect("written");
        chmod(&made.join("bin").join(program), 0o755);
    }
    Ok(made)
}

#[test]
fn ipyparallels_tools_know_a_job_that_runs_and_end_it_in_order() {
    for name in ["main", "ipp88"] {
        let others = needed!(venv(name));
        let made = Place::empty();
        let venv = needed!(environment_with_package(&made, &others));
        let place = Place::with_venv(&venv);
        let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "2"]);
        job.wait_ready();
        run_in(&place, &venv, None, "listed.py");
        let (code, transcript) = job.finish();
        assert_eq!(code, 0, "{transcript}");
        job.assert_nothing_left();
    }
}

/// What engines print before the client's subscription is through is lost to it, so that is waited for, as a hand would.
const HEARD: &str = "heard = []
while not (heard and all(heard)):
    result = rc[:].execute('print(0)', silent=False, block=False)
    result.get(60)
    result.wait_for_output(1)
    heard = result.stdout";

#[test]
fn a_person_uses_and_ends_a_job_by_jupyterlabs_list() {
    needed!(program(
        &["/usr/bin"],
        &["chromium", "chromium-browser", "google-chrome"]
    ));
    let others = needed!(venv("main"));
    let made = Place::empty();
    let venv = needed!(environment_with_package(&made, &others));
    // JupyterLab's extensions and their settings.
    for directory in ["share", "etc"] {
        symlink(others.join(directory), venv.join(directory)).expect("linked");
    }
    let place = Place::with_venv(&venv);
    let cells = [HEARD, "%%px\nimport os\nprint('process', os.getpid())"].map(|source| {
        json!({"cell_type": "code", "id": source.len().to_string(), "metadata": {}, "execution_count": null, "outputs": [], "source": source})
    });
    let notebook = json!({
        "nbformat": 4, "nbformat_minor": 5, "cells": cells,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
    });
    fs::write(place.dir().join("px.ipynb"), notebook.to_string()).expect("written");
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2"]);
    let record = job.wait_ready();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let picture = place.dir().join("page.png");
    let seen = place
        .command(venv.join("bin/python"))
        .arg(tests.join("package/clusters.py"))
        .args([record["url"].as_str().expect("an address"), "px.ipynb"])
        .arg(&picture)
        .env("PYTHONPATH", tests.join("connect"))
        .output()
        .expect("Python");
    assert!(seen.status.success(), "{}", shown(&seen));
    pictures::screenshot("clusters.png", &fs::read(picture).expect("a picture"));
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    assert!(transcript.contains("stopping: SIGTERM"), "{transcript}");
    job.assert_nothing_left();
}

/// Runs a program beside these tests, with the package; Python tells where it hangs.
fn run(venv: &Path, name: &str) -> Needed<()> {
    let place = Place::with_venv(venv);
    let site = installed(&place)?;
    run_in(&place, venv, Some(site), name);
    Ok(())
}

fn run_in(place: &Place, venv: &Path, site: Option<PathBuf>, name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/package")
        .join(name);
    let output = place
        .command("timeout")
        .args(["--signal=ABRT", "420"])
        .arg(venv.join("bin/python"))
        .args(["-X", "faulthandler"])
        .arg(file)
        .envs(site.map(|site| ("PYTHONPATH", site)))
        .env("IPJOB", binary())
        .env("IPYTHONDIR", place.ipython_dir())
        .output()
        .expect("timeout");
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn cells_start_use_and_end_a_cluster() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        needed!(run(&venv, "cells.py"));
    }
}

#[test]
fn ipyparallels_cluster_is_a_job_of_ipjob() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        needed!(run(&venv, "cluster.py"));
    }
}

#[test]
fn engines_become_workers_of_dask() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        needed!(run(&venv, "become_dask.py"));
    }
}

#[test]
fn it_is_of_the_programs_version_and_imports_nothing() {
    let init = fs::read_to_string(package().join("ipjob/__init__.py")).expect("the package");
    let version = format!("__version__ = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(init.contains(&version), "no {version:?} in:\n{init}");
    let place = Place::empty();
    let venv = needed!(venv("main"));
    let code = "import sys; before = set(sys.modules); import ipjob; print(sorted(set(sys.modules) - before))";
    let output = python(&place, &venv, code).output().expect("Python");
    assert_eq!(shown(&output).trim(), "['ipjob']");
}

#[test]
fn it_says_which_program_it_lacks() {
    let venv = needed!(venv("main"));
    let place = Place::empty();
    let code = "from ipjob import program; print(program.find())";
    let found = python(&place, &venv, code).output().expect("Python");
    assert_eq!(shown(&found).trim(), binary().display().to_string());

    let none = failure(python(&place, &venv, code).env_remove("IPJOB"));
    assert!(none.contains("no program ipjob: neither in "), "{none}");
    let elsewhere = failure(python(&place, &venv, code).env("IPJOB", "/nowhere"));
    assert!(
        elsewhere.contains("the variable IPJOB does not name one"),
        "{elsewhere}"
    );
    for (script, words) in [
        (
            "echo ipjob 0.0.1",
            "is ipjob 0.0.1, but the Python package in ",
        ),
        (
            "echo something",
            "is not ipjob: `--version` ended with code 0",
        ),
    ] {
        let other = place.script("another", script);
        let shown = failure(python(&place, &venv, code).env("IPJOB", other));
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn it_says_which_ipyparallel_it_lacks() {
    let venv = needed!(venv("wheel"));
    let place = Place::empty();
    let code = "import ipjob
try:
    import ipjob.launchers
except ImportError as error:
    print(error)
from ipjob import job
job.start(['-n', '1'])";
    let shown = failure(&mut python(&place, &venv, code));
    let words = "this Python has no ipyparallel\n  cause: No module named 'ipyparallel'\n  hint: pip install 'ipyparallel>=8', ";
    assert!(shown.starts_with(words), "{shown}");
    assert_eq!(shown.matches(words).count(), 2, "{shown}");

    let old = place.dir().join("old/ipyparallel");
    fs::create_dir_all(&old).expect("a directory");
    let text = "version_info = (7, 1, 0)\n__version__ = '7.1.0'\n";
    fs::write(old.join("__init__.py"), text).expect("written");
    let path = format!(
        "{}:{}",
        package().display(),
        place.dir().join("old").display()
    );
    let shown = failure(python(&place, &venv, code).env("PYTHONPATH", path));
    let words = "this Python's ipyparallel is 7.1.0; 8 or later is needed\n  hint: pip install ";
    assert_eq!(shown.matches(words).count(), 2, "{shown}");
}

#[test]
fn what_the_program_refuses_is_an_exception_with_its_words() {
    let place = Place::empty();
    let venv = needed!(venv("main"));
    let code = "from ipjob import program; program.call(['stop', 'nothing'])";
    let shown = failure(&mut python(&place, &venv, code));
    assert!(shown.contains("ipjob ended with exit code 5"), "{shown}");
    assert!(shown.contains("nothing"), "{shown}");
}

/// The line of docs/python.md that installs the package.
fn line_that_installs() -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/python.md"));
    let page = page.expect("the page");
    let line = page.lines().find(|line| line.starts_with("pip install "));
    line.expect("the line").to_owned()
}

#[test]
fn the_wheel_brings_program_and_package() {
    let venv = needed!(venv("main"));
    let packer = needed!(crate::support::venv("wheel"));
    let place = Place::empty();
    let pack = |into: &str, program: &Path, target: &str| {
        let into = place.dir().join(into);
        let output = place
            .command(packer.join("bin/hatchling"))
            .args(["build", "-t", "wheel", "-d"])
            .arg(&into)
            .current_dir(package())
            .env("IPJOB_WHEEL_PROGRAM", program)
            .env("IPJOB_WHEEL_TARGET", target)
            .output()
            .expect("hatchling");
        assert!(output.status.success(), "{}", shown(&output));
        only_file(&into)
    };
    // Packed twice, a wheel is the same to the byte.
    let arch = std::env::consts::ARCH;
    let own = format!("{arch}-unknown-linux-musl");
    let wheels = ["dist", "again"].map(|into| pack(into, &binary(), &own));
    let bytes = fs::read(&wheels[0]).expect("the wheel");
    assert!(bytes == fs::read(&wheels[1]).expect("the wheel"));
    let name = wheels[0].file_name().expect("a name").to_string_lossy();
    assert!(
        name.contains("-py3-none-manylinux2014_") && name.contains(".musllinux_1_1_"),
        "{name}"
    );
    if fs::metadata(binary()).expect("the program").len() < 5_000_000 {
        assert!(bytes.len() < 2_000_000, "{} bytes", bytes.len());
    }

    // `make wheel` leaves one for each system and architecture beside each other.
    let other = place.script("other", "exit 1");
    for (target, tag) in [
        ("aarch64-unknown-linux-musl", ".musllinux_1_1_aarch64.whl"),
        ("x86_64-unknown-linux-musl", ".musllinux_1_1_x86_64.whl"),
        ("aarch64-apple-darwin", "-py3-none-macosx_11_0_arm64.whl"),
        ("x86_64-apple-darwin", "-py3-none-macosx_11_0_x86_64.whl"),
    ] {
        let wheel = pack(target, &other, target);
        let name = wheel.file_name().expect("a name");
        let shown = name.to_string_lossy();
        assert!(shown.ends_with(tag), "{shown}");
        if target != own {
            fs::rename(&wheel, place.dir().join("dist").join(name)).expect("moved");
        }
    }
    let site = place.dir().join("site");
    let line = format!(
        "PATH={}/bin:$PATH\n{}",
        venv.display(),
        line_that_installs()
    );
    let installed = place
        .command("sh")
        .args(["-c", &line])
        .env("PIP_NO_INDEX", "1")
        .env("PIP_NO_DEPS", "1")
        .env("PIP_TARGET", &site)
        .output()
        .expect("sh");
    assert!(installed.status.success(), "{}", shown(&installed));
    let code = "import ipyparallel as ipp
from ipjob import program
print(program.find())
cluster = ipp.Cluster(engines='ipjob', controller='ipjob')
print(cluster.controller_launcher_class.__name__, cluster.engine_launcher_class.__name__)";
    let output = python(&place, &venv, code)
        .env("PYTHONPATH", &site)
        .env_remove("IPJOB")
        .output()
        .expect("Python");
    let program = site.join("bin/ipjob");
    assert_eq!(
        shown(&output).trim(),
        format!(
            "{}\nIpjobControllerLauncher IpjobEngineSetLauncher",
            program.display()
        )
    );
}

#[test]
fn a_mac_makes_its_own_program_and_wheel() {
    let place = Place::with_venv(&needed!(venv("wheel")));
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["GNUmakefile", "python", "LICENSE"] {
        symlink(checkout.join(name), place.dir().join(name)).expect("linked");
    }
    let build = format!(
        "echo \"cargo $*\"; mkdir -p target/release; cp '{}' target/release/ipjob",
        binary().display()
    );
    for (name, body) in [
        ("uname", "echo Darwin"),
        ("rustc", "echo 'host: aarch64-apple-darwin'"),
        ("cargo", &build),
    ] {
        place.script(name, body);
    }
    let made = place
        .command("make")
        .arg("wheel")
        .env("PIP_NO_INDEX", "1")
        // pip reads it the wrong way round: what packs is to be that of the environment.
        .env("PIP_NO_BUILD_ISOLATION", "0")
        .output()
        .expect("make");
    let told = shown(&made);
    assert!(made.status.success(), "{told}");
    assert!(told.contains("\ncargo build --release\n"), "{told}");
    assert!(place.dir().join("target/ipjob").exists(), "{told}");
    let wheel = only_file(&place.dir().join("dist"));
    let name = wheel.file_name().expect("a name").to_string_lossy();
    assert!(name.ends_with("-py3-none-macosx_11_0_arm64.whl"), "{name}");
}
