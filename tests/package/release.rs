//! What `make dist` makes: archives, packages and their recipes. The program in them is the one under test, so nothing is built here.

use super::shown;
use crate::support::{Needed, Place, Skipped, binary, made, program, root, venv};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust target of a release that runs here.
fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

fn archive_name() -> String {
    let (version, architecture) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    format!("ipjob-{version}-{architecture}-linux")
}

/// Runs it to its end, which must be good, and returns what it printed.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What packs, in another directory, as a clone would have it.
fn copied(place: &Place) -> PathBuf {
    let copy = place.dir().join("copy");
    fs::create_dir(&copy).expect("a directory");
    output(
        Command::new("cp")
            .args(["-R", "packaging", "sbatch", "python", "LICENSE"])
            .args(["Cargo.toml", "Cargo.lock"])
            .arg(&copy)
            .current_dir(checkout()),
    );
    for sources in ["launcher", "tests"] {
        symlink(checkout().join(sources), copy.join(sources)).expect("linked");
    }
    copy
}

/// Packs the program under test and returns the archive.
fn packed(place: &Place) -> PathBuf {
    let archive = output(
        Command::new(checkout().join("packaging/archive"))
            .args([target().as_ref(), binary().as_os_str()])
            .arg(place.dir().join("dist"))
            .env_remove("SOURCE_DATE_EPOCH"),
    );
    PathBuf::from(archive)
}

/// What is in an archive, below its one directory.
fn unpacked(place: &Place, archive: &Path) -> PathBuf {
    output(
        Command::new("tar")
            .arg("-xzf")
            .arg(archive)
            .current_dir(place.dir()),
    );
    place.dir().join(archive_name())
}

/// When an archive says that it was made, in seconds since 1970.
fn time_of(place: &Place, archive: &Path) -> String {
    let program = unpacked(place, archive).join("bin/ipjob");
    output(Command::new("stat").args(["-c", "%Y"]).arg(program))
}

#[test]
fn an_archive_is_the_same_wherever_and_whenever_it_is_packed() {
    let place = Place::empty();
    let first = packed(&place);
    let copy = copied(&place);
    let again = output(
        Command::new("sh")
            .args(["-c", "umask 077; exec packaging/archive \"$@\"", "sh"])
            .args([target().as_ref(), binary().as_os_str()])
            .arg("again")
            .current_dir(&copy)
            .env("TZ", "Asia/Tokyo")
            .env("SOURCE_DATE_EPOCH", time_of(&place, &first)),
    );
    let bytes = fs::read(&first).expect("an archive");
    assert!(bytes == fs::read(copy.join(again)).expect("an archive"));

    let packer = needed!(venv("packaging"));
    let packages = ["packages", "others"].map(|into| {
        let directory = place.dir().join(into);
        fs::create_dir(&directory).expect("a directory");
        let made = output(Command::new(checkout().join("packaging/packages")).args([
            packer.join("bin/nfpm"),
            first.clone(),
            directory,
        ]));
        let made: Vec<PathBuf> = made.lines().map(PathBuf::from).collect();
        assert_eq!(made.len(), 2, "{made:?}");
        made
    });
    for (one, other) in packages[0].iter().zip(&packages[1]) {
        assert!(fs::read(one).expect("a package") == fs::read(other).expect("a package"));
    }
}

#[test]
fn an_archive_has_all_that_is_installed_and_says_what_is_in_it() {
    let place = Place::empty();
    let archive = packed(&place);
    let top = unpacked(&place, &archive);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        output(place.command(top.join("bin/ipjob")).arg("--version")),
        format!("ipjob {version}")
    );
    for file in [
        "share/man/man1/ipjob-connect.1",
        "share/bash-completion/completions/ipjob",
        "share/ipjob/run_jupyter.sbatch",
        "share/ipjob/sites/plain-cluster.sbatch",
        "share/doc/ipjob/LICENSE",
    ] {
        let data = fs::metadata(top.join(file));
        assert!(data.is_ok_and(|data| data.len() > 0), "no {file}");
    }

    let crates =
        output(Command::new(checkout().join("packaging/crates")).args(["list", &target()]));
    assert!(crates.lines().count() > 20, "{crates}");
    let licences = fs::read_to_string(top.join("share/doc/ipjob/THIRD-PARTY-LICENCES.txt"));
    let licences = licences.expect("the licences");
    for line in crates.lines() {
        assert!(licences.contains(&format!("\n{line}: ")), "no {line}");
    }
    let bom = fs::read_to_string(top.join("share/doc/ipjob/ipjob.cdx.json")).expect("the SBOM");
    let bom: serde_json::Value = serde_json::from_str(&bom).expect("JSON");
    let listed: Vec<String> = bom["components"]
        .as_array()
        .expect("components")
        .iter()
        .map(|one| format!("{} {}", one["name"], one["version"]).replace('"', ""))
        .collect();
    assert_eq!(listed, crates.lines().collect::<Vec<_>>());
    let python = needed!(venv("packaging")).join("bin/python");
    output(
        Command::new(python)
            .arg(checkout().join("tests/package/release.py"))
            .arg("sbom")
            .arg(top.join("share/doc/ipjob/ipjob.cdx.json")),
    );
}

#[test]
fn the_program_has_no_path_of_the_machine_that_built_it() {
    let program = needed!(made("IPJOB_TEST_BINARY"));
    let bytes = fs::read(program).expect("the program");
    let home = std::env::var("HOME").expect("a home");
    for path in [
        checkout().to_str().expect("text"),
        &format!("{home}/.cargo"),
        "/registry/src/",
    ] {
        let found = bytes
            .windows(path.len())
            .any(|part| part == path.as_bytes());
        assert!(!found, "{path} is in the program");
    }
}

/// An archive's modulefile finds the program wherever the archive lies.
#[test]
fn a_modulefile_finds_its_program() {
    let tclsh = needed!(program(&["/usr/bin"], &["tclsh"]));
    let place = Place::empty();
    let top = unpacked(&place, &packed(&place));
    let file = top
        .join("share/modulefiles/ipjob")
        .join(env!("CARGO_PKG_VERSION"));
    // What the module systems define.
    let script = "proc module-whatis args {}; proc setenv args {}; proc prepend-path {name path} {puts \"$name $path\"}
set ModulesCurrentModulefile [lindex $argv 0]; source $ModulesCurrentModulefile";
    let reads = place.dir().join("reads.tcl");
    fs::write(&reads, script).expect("written");
    assert_eq!(
        output(Command::new(tclsh).arg(reads).arg(file)),
        format!("PATH {}/bin", top.display())
    );
}

#[test]
fn a_debian_package_is_installed_and_leaves_nothing() {
    needed!(root());
    let dpkg = needed!(program(&["/usr/bin"], &["dpkg"]));
    let packer = needed!(venv("packaging"));
    let place = Place::empty();
    let made = output(
        Command::new(checkout().join("packaging/packages"))
            .args([packer.join("bin/nfpm"), packed(&place)])
            .arg(place.dir()),
    );
    let package = made.lines().find(|line| line.contains(".deb"));
    let root = place.dir().join("root");
    for directory in ["info", "updates"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(directory)).expect("a directory");
    }
    fs::write(root.join("var/lib/dpkg/status"), "").expect("written");
    let dpkg = |args: &[&str]| {
        let mut command = Command::new(&dpkg);
        output(command.arg(format!("--root={}", root.display())).args(args));
    };
    dpkg(&["--install", package.expect("a package")]);
    let program = root.join("usr/bin/ipjob");
    assert_eq!(
        output(place.command(&program).arg("--version")),
        concat!("ipjob ", env!("CARGO_PKG_VERSION"))
    );
    assert!(root.join("usr/share/doc/ipjob/copyright").exists());
    assert!(
        root.join("usr/share/zsh/vendor-completions/_ipjob")
            .exists()
    );
    dpkg(&["--purge", "ipjob"]);
    assert!(!root.join("usr").exists(), "files are left");
}

/// What `packaging/version` says, and whether all was well.
fn version(copy: &Path, args: &[&str]) -> (bool, String) {
    let told = Command::new(copy.join("packaging/version"))
        .args(args)
        .output()
        .expect("it runs");
    (told.status.success(), shown(&told))
}

#[test]
fn one_word_sets_the_version_everywhere() {
    let all_well = (true, String::new());
    assert_eq!(version(checkout(), &["--check"]), all_well);
    let place = Place::empty();
    let copy = copied(&place);
    assert_eq!(version(&copy, &["98.7.6"]), all_well);
    let told = output(
        Command::new("cargo")
            .args(["pkgid", "--locked", "--offline"])
            .current_dir(&copy),
    );
    assert!(told.ends_with("98.7.6"), "{told}");
    let recipe = copy.join("packaging/easybuild/ipjob-98.7.6.eb");
    let text = fs::read_to_string(&recipe).expect("the recipe");
    assert!(!text.contains(env!("CARGO_PKG_VERSION")), "{text}");

    fs::write(&recipe, text.replace("'98.7.6'", "'98.7.5'")).expect("written");
    let (well, told) = version(&copy, &["--check"]);
    assert!(!well, "{told}");
    assert_eq!(
        told.trim(),
        "packaging/easybuild/ipjob-98.7.6.eb has version 98.7.5, Cargo.toml 98.7.6"
    );
    fs::write(&recipe, text.replacen('0', "1", 1)).expect("written");
    let (well, told) = version(&copy, &["--check"]);
    assert!(!well && told.contains(", expected 1000"), "{told}");
}

/// Each recipe is run as far as it goes without its packager: by stand-ins for what that gives to it, and from a real archive.
#[test]
fn recipes_install_the_archive() {
    let ruby = needed!(program(&["/usr/bin"], &["ruby"]));
    let python = needed!(venv("packaging")).join("bin/python");
    let place = Place::empty();
    let archive = packed(&place);
    let copy = copied(&place);
    symlink(place.dir().join("dist"), copy.join("dist")).expect("linked");
    symlink("../../dist", copy.join("packaging/spack/dist")).expect("linked");
    let sums = output(
        Command::new("sha256sum")
            .arg(archive.file_name().expect("a name"))
            .current_dir(place.dir().join("dist")),
    );
    let file = place.dir().join("SHA256SUMS");
    fs::write(&file, format!("{sums}\n")).expect("written");
    let sums = file.to_str().expect("text");
    assert_eq!(version(&copy, &["--sums", sums]), (true, String::new()));
    let tests = checkout().join("tests/package");
    for interpreter in [
        Command::new(python)
            .arg(tests.join("release.py"))
            .arg("recipes"),
        Command::new(ruby).arg(tests.join("formula.rb")),
    ] {
        let prefix = place.dir().join("prefix");
        let told = output(
            interpreter
                .args([&copy, &prefix])
                .env("MACHINE", std::env::consts::ARCH),
        );
        let wanted = concat!("ipjob ", env!("CARGO_PKG_VERSION"));
        assert!(
            told.lines().all(|line| line == wanted) && !told.is_empty(),
            "{told}"
        );
        fs::remove_dir_all(&prefix).expect("removed");
    }
}

#[test]
fn the_workflows_use_make_and_no_secret() {
    let python = needed!(venv("packaging")).join("bin/python");
    output(
        Command::new(python)
            .arg(checkout().join("tests/package/release.py"))
            .arg("workflows")
            .arg(checkout()),
    );
}

/// Whether the checkout can be cloned.
fn clone() -> Needed<()> {
    if checkout().join(".git").exists() {
        Ok(())
    } else {
        Err(Skipped::for_want_of("this is no clone, which has commits"))
    }
}

/// Two clones in different places, built one after the other from nothing, are the same to the byte.
#[test]
#[ignore = "make test LONG=1"]
fn a_release_is_the_same_wherever_and_whenever_it_is_built() {
    needed!(clone());
    let place = Place::empty();
    // Built once for both.
    let tools = checkout().join(".cache/tools");
    fs::create_dir_all(&tools).expect("a directory");
    // Both at once, of the same commit.
    let clones = ["one", "another/place"].map(|name| {
        let clone = place.dir().join(name);
        output(
            Command::new("git")
                .args(["clone", "--quiet"])
                .args([checkout(), &clone]),
        );
        fs::create_dir(clone.join(".cache")).expect("a directory");
        symlink(&tools, clone.join(".cache/tools")).expect("linked");
        clone
    });
    let sums = clones.each_ref().map(|clone| {
        output(
            Command::new("make")
                .args(["dist", &format!("TARGETS={}", target())])
                .current_dir(clone)
                .env_remove("CARGO_TARGET_DIR"),
        );
        fs::read_to_string(clone.join("dist/SHA256SUMS")).expect("the checksums")
    });
    assert_eq!(sums[0], sums[1]);
    // The program itself tells which crates it was made of.
    let built = clones[0]
        .join("target")
        .join(target())
        .join("release/ipjob");
    let inside = output(
        Command::new("python3")
            .arg(checkout().join("tests/package/release.py"))
            .arg("crates")
            .arg(built),
    );
    let crates =
        output(Command::new(checkout().join("packaging/crates")).args(["list", &target()]));
    for line in crates.lines() {
        assert!(
            inside.lines().any(|own| own == line),
            "no {line} in {inside}"
        );
    }
}
