use super::*;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A group that nobody is in.
const FOREIGN: u32 = 4242;

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

#[test]
fn what_is_above_the_home_directory_is_judged_for_nothing_in_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    make_whole(&path("group/ada/.ipython")).expect("ours");
    make_whole(&path("group/other")).expect("ours");
    chmod(&path("group"), 0o2770);
    symlink(path("group/ada"), path("home")).expect("a link");
    symlink("../other", path("group/ada/out")).expect("a link");
    std::os::unix::fs::chown(path("group"), None, Some(FOREIGN)).expect("we are root");
    let walk = |dir: &str, home: Option<&str>| {
        let home = home.map(|home| path(home).into_os_string());
        walk_from(&path(dir), Last::Whole, false, home.as_deref())
    };
    for home in ["group/ada", "home"] {
        walk("group/ada/.ipython", Some(home)).expect(home);
        walk("group/ada", Some(home)).expect(home);
        for dir in ["group", "group/other", "group/ada/out"] {
            walk(dir, Some(home)).expect_err(dir);
        }
    }
    let home = path("home").into_os_string();
    walk_from(&path("group/ada/new"), Last::Whole, true, Some(&home)).expect("made");
    let beside = walk_from(&path("group/new"), Last::Whole, true, Some(&home));
    let told = beside.expect_err("beside the home").to_string();
    assert!(told.contains("group 4242 can write in"), "{told}");
    assert!(path("group/ada/new").exists() && !path("group/new").exists());
    walk("group/ada", None).expect_err("no home");
    walk("group/ada", Some("group/other")).expect_err("beside the home");
    // Whoever can write everywhere was not chosen.
    chmod(&path("group"), 0o777);
    walk("group/ada", Some("home")).expect_err("everybody");
    chmod(&path("group"), 0o2770);
    chmod(&path("group/ada"), 0o777);
    walk("group/ada/.ipython", Some("home")).expect_err("the home itself");
}

#[test]
fn the_group_of_root_is_let_in_and_another_is_not() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    chmod(place.path(), 0o770);
    let us = Us::now();
    for (group, is_own) in [(0, true), (FOREIGN, false)] {
        std::os::unix::fs::chown(place.path(), None, Some(group)).expect("we are root");
        assert_eq!(check_whole(place.path()).is_ok(), is_own, "{group}");
    }
    let found = fs::metadata(place.path()).expect("ours");
    let user = Us {
        uid: FOREIGN,
        gid: FOREIGN,
        ..us
    };
    assert!(user.is_own_group(place.path(), &found), "its own number");
}
