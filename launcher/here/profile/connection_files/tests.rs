use super::*;
use crate::here::profile::lock::Lock;
use crate::plan::incarnation::Incarnation;
use crate::plan::profile::ProfileName;
use std::os::unix::fs::PermissionsExt;

const TEXTS: [&str; 2] = [
    r#"{"key": "ours", "side": 1}"#,
    r#"{"key": "ours", "side": 2}"#,
];

/// Those of a profile of its own, made once.
fn made() -> (tempfile::TempDir, Profile, Lock, ConnectionFiles) {
    let dir = tempfile::tempdir().expect("a directory");
    let profile = Profile::new(dir.path(), &ProfileName::new("x").expect("a name"));
    fs::create_dir_all(&profile.dir).expect("made");
    let own = Incarnation {
        id: "local.x.0.1".to_owned(),
        host: identity::host(),
        boot: process::boot_id(),
        pid: std::process::id(),
        pid_start: 1,
    };
    let lock = Lock::take(&profile.lock(), &own).expect("free");
    let ownership = Ownership::new(&profile, &own);
    let files = ConnectionFiles::new(&profile, "ours", &ownership, &TEXTS.map(str::to_owned));
    assert!(files.look().is_empty(), "made, not put back");
    (dir, profile, lock, files)
}

#[test]
fn what_is_removed_or_overwritten_is_put_back_private_and_told() {
    let (_dir, profile, _lock, files) = made();
    fs::remove_file(profile.client_file()).expect("there");
    fs::remove_file(profile.own_client_file()).expect("there");
    let foreign = r#"{"key": "his", "interface": "tcp://127.0.0.1", "location": "elsewhere", "registration": 7}"#;
    fs::write(profile.engine_file(), foreign).expect("written");
    let changes = files.look();
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.file.as_str(), &change.found))
        .collect();
    let his = Found::Foreign {
        told: Foreign {
            address: "127.0.0.1".to_owned(),
            location: "elsewhere".to_owned(),
            port: Some(7),
        },
        process: None,
    };
    let wanted = [
        ("ipcontroller-engine.json", &his),
        ("ipcontroller-client.json", &Found::Nothing),
    ];
    assert_eq!(told, wanted, "of its own names nothing is told");
    for (path, text) in [
        (profile.client_file(), TEXTS[0]),
        (profile.own_client_file(), TEXTS[0]),
        (profile.engine_file(), TEXTS[1]),
        (profile.own_engine_file(), TEXTS[1]),
    ] {
        assert_eq!(fs::read_to_string(&path).expect("there"), text);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert!(files.look().is_empty());
}

#[test]
fn half_a_file_may_soon_be_whole() {
    let (_dir, profile, _lock, files) = made();
    fs::write(profile.client_file(), "{\"key\": \"hi").expect("written");
    assert!(files.look().is_empty());
    let changes = files.look();
    assert!(matches!(
        changes.as_slice(),
        [Change {
            found: Found::Other,
            ..
        }]
    ));
}

#[test]
fn a_directory_that_is_gone_is_made_again_but_not_a_profile() {
    let (dir, profile, _lock, files) = made();
    fs::remove_dir_all(profile.security()).expect("there");
    assert_eq!(files.look().len(), 2);
    assert!(profile.client_file().exists());
    fs::rename(&profile.dir, dir.path().join("away")).expect("moved");
    assert!(files.look().is_empty());
    assert!(!profile.dir.exists());
}

#[test]
fn once_closed_nothing_is_put_back() {
    let (_dir, profile, _lock, files) = made();
    files.close();
    fs::remove_file(profile.client_file()).expect("there");
    assert!(files.look().is_empty());
    assert!(!profile.client_file().exists());
}
