//! Files that others must never see half written or readable.

use super::secure_path::{self, Fault, Unclosed};
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// The first part of the names of files that are being written: what a killed ipjob left of them can be told.
pub const TEMPORARY_PREFIX: &str = ".ipjob-writing-";

/// For files that are opened where they may be already: what they hold must not come from, nor go to, where a link leads.
pub const NO_LINK: i32 = OFlag::O_NOFOLLOW.bits();

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Replaces a file as a whole: readers see the old one or the new one. It is 0600 from its first byte; a link in its place
/// is replaced, not followed.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_if(path, content, || true).map(drop)
}

/// Replaces a file as a whole, if that is still wanted when the new content is ready: between the question and the rename lies
/// nothing else. A rename that a cut-off node sends late finds its temporary file removed by who took over. False if
/// it was not wanted.
pub fn replace_if(path: &Path, content: &[u8], wanted: impl FnOnce() -> bool) -> io::Result<bool> {
    let directory = path
        .parent()
        .ok_or_else(|| io::Error::other("it has no directory"))?;
    // tempfile opens with O_EXCL and mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(directory)
        .map_err(|error| without_path(&error))?;
    file.write_all(content)?;
    close_file(file.as_file())?;
    // Dropped, the temporary file goes.
    if !wanted() {
        return Ok(false);
    }
    persist(file, path)?;
    Ok(true)
}

/// Writes a file there and removes it: whether that can be done now.
pub fn try_to_write(directory: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(directory)
        .map_err(|error| without_path(&error))?;
    file.write_all(b"x")
}

/// Gives a temporary file its name, in the place of whatever has it.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Writes over a file that is there, in its place: a reader may see half of it, but it needs no new file, where none can be
/// made any more. What cannot be written over is removed.
pub fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .custom_flags(NO_LINK)
            .open(path)?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)
    };
    written().or_else(|_| remove(path))
}

/// Writes over a file in a directory that others can change: only what was opened is looked at and written, and that is a file of ours by
/// no other name, and `is_it` by what it holds. Nothing is removed: a name can lead elsewhere by then.
pub fn overwrite_own(
    path: &Path,
    content: &[u8],
    is_it: impl FnOnce(&str) -> bool,
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        // A pipe in its place would be waited for.
        .custom_flags(NO_LINK | nix::libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    let mut text = String::new();
    if own && found.is_file() && found.nlink() == 1 {
        file.read_to_string(&mut text)?;
    }
    if !is_it(&text) {
        return Err(io::Error::other("it is another file"));
    }
    file.rewind()?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
}

/// The system's own error: tempfile adds a random name, which says nothing to people.
fn without_path(error: &io::Error) -> io::Error {
    error
        .get_ref()
        .and_then(|inner| inner.source()?.downcast_ref::<io::Error>()?.raw_os_error())
        .map_or_else(
            || io::Error::new(error.kind(), error.to_string()),
            io::Error::from_raw_os_error,
        )
}

/// Removes what a killed ipjob of ours left half written in a directory, and has not touched for that long: where others of our
/// jobs write too, they are between a write and a rename only for a moment.
pub fn remove_temporaries(directory: &Path, untouched: Duration) {
    let own = nix::unistd::geteuid().as_raw();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            continue;
        }
        let abandoned = entry.metadata().is_ok_and(|found| {
            let age = found.modified().map(|time| time.elapsed());
            // A clock that was set back makes it younger than now.
            let rested = matches!(age, Ok(Ok(age)) if age >= untouched) || untouched.is_zero();
            found.is_file() && found.uid() == own && rested
        });
        if abandoned {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a directory that only we can enter, where it is missing. One that others could only read is closed to them, as
/// IPython does it.
pub fn private_directory(path: &Path) -> Result<(), Fault> {
    unwritable_directory(path)?;
    if fs::metadata(path)?.mode() & OTHERS == 0 {
        return Ok(());
    }
    let changed = fs::set_permissions(path, Permissions::from_mode(0o700));
    Ok(still_closed(&fs::metadata(path)?, changed)?)
}

/// Makes a file one that only we can read and write, as it was asked for when it was made: a umask may have taken more away, and a
/// file system without permissions of its own have given more.
fn close_file(file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o777 == 0o600 {
        return Ok(());
    }
    let changed = file.set_permissions(Permissions::from_mode(0o600));
    still_closed(&file.metadata()?, changed)
}

/// What counts is what the file system shows afterwards: some refuse chmod, some do nothing at it (CIFS, some set-ups of Lustre).
fn still_closed(found: &Metadata, changed: io::Result<()>) -> io::Result<()> {
    match found.mode() & 0o7777 {
        mode if mode & OTHERS == 0 => Ok(()),
        mode => Err(io::Error::other(Unclosed {
            mode,
            refusal: changed.err(),
        })),
    }
}

/// Makes a directory that only we can enter, where it is missing, or takes one that nobody else can write in.
pub fn unwritable_directory(path: &Path) -> Result<(), Fault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other.map_err(Fault::from),
    }
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Err(io::Error::other("it is a link").into());
    }
    if !found.is_dir() {
        return Err(io::Error::other("it is not a directory").into());
    }
    secure_path::refuse_others(path, &found, 0o022)
}

/// Writes a new file that only we can read; one that is there already is an error. On a full disk no part of it is left: half
/// a key would not be known as ours any more.
pub fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            close_file(&file)
                .and_then(|()| file.write_all(content))
                .inspect_err(|_| drop(remove(path)))
        })
}

/// Reads a file that is ours and that nobody else can write in; nothing of one that is longer than that many bytes.
pub fn read_private(path: &Path, longest: u64) -> Option<String> {
    let file = OpenOptions::new()
        .read(true)
        // A pipe in its place would be waited for.
        .custom_flags(NO_LINK | nix::libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let found = file.metadata().ok()?;
    secure_path::refuse_others(path, &found, 0o022).ok()?;
    if !found.is_file() || found.len() > longest {
        return None;
    }
    let mut text = String::new();
    file.take(longest).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Removes a file; that it is not there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory and all in it; that it is not there is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_directory_of_others_only_the_very_file_is_written_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        let over =
            |name: &str| overwrite_own(&place(name), b"new", |text| text.starts_with("mine"));
        let holds = |name: &str| fs::read_to_string(place(name)).expect("there");
        for (name, text) in [
            ("record", "mine, longer"),
            ("foreign", "x"),
            ("twice", "mine"),
        ] {
            fs::write(place(name), text).expect("writable");
        }
        fs::hard_link(place("twice"), place("other")).expect("writable");
        std::os::unix::fs::symlink(place("twice"), place("link")).expect("writable");
        assert!(over("record").is_ok());
        assert_eq!(holds("record"), "new");
        for name in ["foreign", "twice", "link", "none"] {
            assert!(over(name).is_err(), "{name}");
        }
        assert_eq!(
            (holds("foreign"), holds("twice")),
            ("x".to_owned(), "mine".to_owned())
        );
    }
}
