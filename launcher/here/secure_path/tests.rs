use super::*;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn each_directory_on_the_way_counts_and_a_sticky_one_is_a_way_but_no_place() {
    let place = tempfile::tempdir().expect("a directory");
    let above = place.path().join("above");
    let dir = above.join("dir");
    make_whole(&dir).expect("all is ours");
    assert_eq!(fs::metadata(&above).expect("made").mode() & 0o777, 0o700);
    for (mode, way, place) in [
        (0o755, true, true),
        (0o1777, true, false),
        (0o777, false, false),
        (0o757, false, false),
    ] {
        chmod(&above, mode);
        assert_eq!(check_whole(&dir).is_ok(), way, "{mode:o}");
        assert_eq!(check(&above).is_ok(), way, "{mode:o}");
        assert_eq!(check_whole(&above).is_ok(), place, "{mode:o}");
    }
    let told = check(&dir).expect_err("others can write above it");
    let hint = told.hint().expect("it is ours to close");
    assert!(hint.contains(&format!("chmod go-w {}`", above.display())));
    assert!(told.to_string().contains("(mode 0757"), "{told}");
}

#[test]
fn links_are_followed_as_the_kernel_does_and_lead_through_what_is_looked_at() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    make_whole(&path("open/dir")).expect("ours");
    make_whole(&path("own")).expect("ours");
    symlink("../open/dir", path("own/link")).expect("a link");
    symlink(path("own/link"), path("chain")).expect("a link");
    symlink("chain/../..", path("up")).expect("a link");
    symlink("round", path("round")).expect("a link");
    symlink("/nowhere/at/all", path("lost")).expect("a link");
    for name in ["own/link", "chain", "up", "own/./../chain"] {
        check_whole(&path(name)).expect(name);
    }
    chmod(&path("open"), 0o777);
    for name in ["own/link", "chain"] {
        let refused = check(&path(name)).expect_err(name);
        assert!(refused.is_open(), "{refused}");
    }
    check_whole(&path("up")).expect_err("through what is open");
    check_whole(&path("own")).expect("beside it");
    assert!(!check(&path("round")).expect_err("endless").is_open());
    let lost = check(&path("lost")).expect_err("to nowhere").to_string();
    assert!(lost.contains("a link to /nowhere/at/all"), "{lost}");
}

#[test]
fn a_user_namespace_of_one_user_is_known() {
    assert!(maps_all("         0          0 4294967295\n"));
    assert!(!maps_all("      1000       1000          1\n"));
    assert!(!maps_all("0 1000 1\n1 100000 65536\n"));
}
