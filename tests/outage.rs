//! What a job leans on goes wrong while it runs: the file system of the home directory goes away, in one of the ways in which file
//! servers do, and comes back; the clock is set. Nothing ends that need not, and the stop waits for none of it.

mod clock;
mod frozen;
mod hung;
mod ranks;
mod refusing;
mod stuck;
mod unmounted;

use crate::support::{Job, Needed, Place, Skipped, mounts};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory in a test's place on a file system of its own, which only this test and what it starts see: the kernel takes it away
/// with the last of them.
struct Home {
    place: Place,
    path: PathBuf,
}

impl Home {
    /// Makes it empty.
    fn in_place(place: Place) -> Needed<Self> {
        mounts()?;
        let private = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount::<str, _, str, str>(None, "/", None, flags, None)
        };
        private().expect("just tried by another process");
        let path = place.dir().join("home");
        fs::create_dir(&path).expect("a directory");
        Ok(Self { place, path })
    }

    /// Runs a program of the system's, and tells whether it is there and content.
    fn does(&self, program: &str, args: &[&str]) -> bool {
        let output = self
            .place
            .command(program)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(args)
            .output();
        let done = output.as_ref().is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("{program} {args:?}: {output:?}");
        }
        done
    }

    fn text(&self) -> &str {
        self.path.to_str().expect("text")
    }

    /// Starts a job whose profile and state lie there.
    fn job(&self, args: &[&str]) -> Job {
        let mut command = self.place.ipjob(args);
        command.env("HOME", &self.path);
        let ipython = self.path.join(".ipython");
        Job::spawn_in(&ipython, "job_local", command)
    }
}

/// An engine's process id.
fn engine(record: &Value, id: usize) -> u32 {
    crate::healing::pid_of(&record["engines"]["list"][id]["pid"])
}

/// A file system in a file of a directory.
fn image(home: &Home, directory: &Path) -> Needed<()> {
    let image = directory.join("image");
    let file = fs::File::create(&image).expect("a file");
    file.set_len(32 << 20).expect("room");
    let image = image.to_str().expect("text");
    let made = home.does("mkfs.ext4", &["-q", image])
        && home.does("mount", &["-o", "loop", image, home.text()]);
    if made {
        Ok(())
    } else {
        Err(Skipped::for_want_of("no loop device can be mounted here"))
    }
}
