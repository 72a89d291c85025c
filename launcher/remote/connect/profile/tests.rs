use super::*;

fn name(text: &str) -> ProfileName {
    ProfileName::new(text).expect("a name")
}

fn marker() -> Marker {
    Marker {
        pid: 7,
        target: "daint:123".to_owned(),
        ..Marker::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn a_profile_is_private_and_goes_with_all_that_ipython_made_in_it() {
    let place = tempfile::tempdir().expect("a directory");
    let ipython = place.path().join("deep/.ipython");
    let profile = LocalProfile::make(&ipython, &name("job_1"), marker()).expect("made");
    profile.write("{}").expect("written");
    let dir = ipython.join("profile_job_1");
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&profile.client_file()), 0o600);
    for name in ["startup", "log", "pid"] {
        fs::create_dir(dir.join(name)).expect("made");
    }
    fs::write(dir.join("startup/README"), "x").expect("written");
    fs::write(dir.join("history.sqlite"), "x").expect("written");
    drop(profile);
    assert!(!dir.exists());
    assert_eq!(fs::read_dir(&ipython).expect("a directory").count(), 0);
}

#[test]
fn what_somebody_else_put_there_stays() {
    let place = tempfile::tempdir().expect("a directory");
    let profile = LocalProfile::make(place.path(), &name("job_1"), marker()).expect("made");
    let own = place.path().join("profile_job_1/startup/mine.py");
    fs::create_dir(own.parent().expect("a directory")).expect("made");
    fs::write(&own, "x").expect("written");
    let client = profile.client_file();
    profile.write("{}").expect("written");
    drop(profile);
    assert!(own.exists() && !client.exists());
}

#[test]
fn somebody_else_s_profile_is_refused_and_untouched() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place
        .path()
        .join("profile_job_1/security/ipcontroller-client.json");
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    fs::write(&file, "theirs").expect("written");
    let failure = LocalProfile::make(place.path(), &name("job_1"), marker()).expect_err("refused");
    assert!(failure.message.contains("did not make it"), "{failure}");
    assert_eq!(fs::read_to_string(&file).expect("it stays"), "theirs");
}

#[test]
fn where_the_home_is_the_jobs_too_its_own_profile_is_left_alone() {
    let place = tempfile::tempdir().expect("a directory");
    for (own, free) in [("job_1", "connect_1"), ("mine", "connect_mine")] {
        assert_eq!(LocalProfile::free_name(place.path(), &name(own)), name(own));
        let record = Profile::new(place.path(), &name(own)).record();
        fs::create_dir_all(record.parent().expect("a directory")).expect("made");
        fs::write(&record, "{}").expect("written");
        assert_eq!(
            LocalProfile::free_name(place.path(), &name(own)),
            name(free)
        );
        let failure = LocalProfile::make(place.path(), &name(own), marker()).expect_err("refused");
        assert!(failure.message.contains("a job's own"), "{failure}");
        assert!(record.exists());
        let made = LocalProfile::make(place.path(), &name(free), marker()).expect("made");
        assert_eq!(made.name().as_str(), free);
    }
}

#[test]
fn a_second_connect_is_told_of_the_first_and_a_dead_one_is_cleaned_up_after() {
    let place = tempfile::tempdir().expect("a directory");
    let mut first = LocalProfile::make(place.path(), &name("job_1"), marker()).expect("made");
    first.tell(Some("http://127.0.0.1:8000/lab?token=x".to_owned()));
    let failure = LocalProfile::make(place.path(), &name("job_1"), marker()).expect_err("in use");
    assert!(failure.message.contains("pid 7"), "{failure}");
    assert!(
        failure
            .hints
            .iter()
            .any(|hint| hint.contains("profile_job_1/ipjob-connect.json")),
        "{failure:?}"
    );

    assert!(!format!("{failure:?}").contains("token"), "{failure:?}");

    // Killed: the lock goes with the process, the files stay.
    let private = tempfile::Builder::new()
        .prefix(crate::remote::connect::PRIVATE_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(place.path())
        .expect("a directory");
    let dir = place.path().join("profile_job_1");
    first.marker.private = Some(private.path().to_owned());
    first.tell(None);
    let LocalProfile { _lock: lock, .. } = &first;
    lock.unlock().expect("unlocked");
    std::mem::forget(first);
    fs::write(dir.join("security/ipcontroller-client.json"), "old").expect("written");
    let second =
        LocalProfile::make(place.path(), &name("job_1"), marker()).expect("cleaned and made");
    assert!(!second.client_file().exists());
    assert!(!private.path().exists());
}
