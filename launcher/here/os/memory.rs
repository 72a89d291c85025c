//! The memory of the control group that we and our processes are in: its limit, and how many processes the kernel has killed in
//! it because there was no more.
//!
//! docs/design/causes.md explains the design.

use super::own_time::OwnTime;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Ends for want of memory are told within so long after the kernel has counted them: what it counted earlier was about processes
/// that are none of ours (a kernel of Jupyter's), and says nothing of one that ends later.
const TOGETHER: Duration = Duration::from_secs(2);

/// Above this, version 1 means no limit: it has the largest number of whole pages there.
const NO_LIMIT: u64 = 1 << 62;

/// The two hierarchies that can have the memory controller, with the names of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The file with the line `oom_kill N`.
    fn kills(self) -> &'static str {
        match self {
            Self::One => "memory.oom_control",
            Self::Two => "memory.events",
        }
    }

    /// The file with the limit.
    fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

/// The control group in which our memory is counted. It is read from the kernel's memory, so that nothing here waits.
#[derive(Debug)]
pub struct Memory {
    version: Version,
    /// The group's directory, then those above it.
    groups: Vec<PathBuf>,
    /// Kills that are known to have been about some process.
    explained: u64,
    /// Kills at the last look.
    counted: u64,
    looked: OwnTime,
}

impl Memory {
    /// Our own group's; `None` where its count cannot be read.
    #[must_use]
    pub fn own() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let (version, groups) = find(&groups, &mounts, "memory")?;
        Self::of(version, groups)
    }

    /// A group without the controller leaves its memory to be counted by the next one above it.
    fn of(version: Version, groups: Vec<PathBuf>) -> Option<Self> {
        let groups: Vec<PathBuf> = groups
            .into_iter()
            .skip_while(|group| kills(version, group).is_none())
            .collect();
        let counted = kills(version, groups.first()?)?;
        Some(Self {
            version,
            groups,
            explained: counted,
            counted,
            looked: OwnTime::now(),
        })
    }

    /// A process has ended, `killed` or in another way: whether it was one that the kernel has killed for want of memory. Each
    /// kill that the kernel has counted explains one end.
    pub fn explains(&mut self, killed: bool) -> bool {
        self.explains_at(OwnTime::now(), killed)
    }

    fn explains_at(&mut self, moment: OwnTime, killed: bool) -> bool {
        let group = self.groups.first();
        let now = group.and_then(|group| kills(self.version, group));
        if moment.since(self.looked) > TOGETHER {
            self.explained = self.counted;
        }
        self.counted = now.unwrap_or(self.counted);
        self.looked = moment;
        let explains = killed && self.counted > self.explained;
        self.explained += u64::from(explains);
        explains
    }

    /// The least limit that our own group, or one above it, sets.
    #[must_use]
    pub fn limit_here() -> Option<u64> {
        Self::own()?.limit()
    }

    /// The least limit of the group and those above it, in bytes; `None` where none is set.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        let file = self.version.limit();
        let limits = self.groups.iter().filter_map(|group| {
            let text = fs::read_to_string(group.join(file)).ok()?;
            // `max` is no number.
            text.trim().parse().ok()
        });
        limits.filter(|limit| *limit < NO_LIMIT).min()
    }
}

/// The version of the control groups in which our memory is counted.
#[must_use]
pub fn version_here() -> Option<u8> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (version, _) = find(&groups, &mounts, "memory")?;
    Some(match version {
        Version::One => 1,
        Version::Two => 2,
    })
}

/// What files of a controller (`pids.max`) say in our own group and in those above it, where they set a limit: each as `FILE = LIMIT in GROUP`.
#[must_use]
pub fn limits_of(controller: &str, files: &[&str]) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    let Some((_, groups)) = find(&groups, &mounts, controller) else {
        return Vec::new();
    };
    let limit = |group: &Path, file: &str| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        let text = text.trim();
        let is_none = text.starts_with("max")
            || text == "-1"
            || text.parse().is_ok_and(|limit: u64| limit >= NO_LIMIT);
        (!is_none && !text.is_empty()).then(|| format!("{file} = {text} in {}", group.display()))
    };
    let limits = groups
        .iter()
        .flat_map(|group| files.iter().filter_map(|file| limit(group, file)));
    limits.collect()
}

/// How many processes the kernel has killed in a group: in version 1 those right in it, in version 2 also those below.
fn kills(version: Version, group: &Path) -> Option<u64> {
    let text = fs::read_to_string(group.join(version.kills())).ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The directories of our group of a controller and of those above it, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn find(groups: &str, mounts: &str, controller: &str) -> Option<(Version, Vec<PathBuf>)> {
    let has_it = |list: &str| list.split(',').any(|name| name == controller);
    let group = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            wanted(controllers).then_some(path)
        })
    };
    let first = group(&has_it);
    let (version, group) = first
        .map(|path| (Version::One, path))
        .or_else(|| group(&str::is_empty).map(|path| (Version::Two, path)))?;
    let mounted = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut place = mount.split(' ').skip(3);
        let mut kind = kind.split(' ');
        let (root, mount, kind, options) =
            (place.next()?, place.next()?, kind.next()?, kind.nth(1)?);
        let fits = match version {
            Version::One => kind == "cgroup" && has_it(options),
            Version::Two => kind == "cgroup2",
        };
        fits.then_some((root, mount))
    });
    // What was mounted later hides what was mounted before at the same place.
    let mounted: Vec<(&str, &str)> = mounted.collect();
    let shows_us = |(root, _): &&(&str, &str)| Path::new(group).starts_with(root);
    let (root, mount) = mounted.iter().rfind(shows_us).or(mounted.last())?;
    // In a container the path can be one that is not seen there: then what is mounted is the container's own group.
    let below = Path::new(group)
        .strip_prefix(root)
        .ok()
        .filter(|below| {
            below
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
        })
        .unwrap_or(Path::new(""));
    let mount = Path::new(mount);
    // Joined with nothing, a path would get a slash at its end.
    let own: PathBuf = mount.join(below).components().collect();
    let up = own.ancestors().take_while(|group| group.starts_with(mount));
    Some((version, up.map(Path::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(found: Option<(Version, Vec<PathBuf>)>) -> (Version, Vec<String>) {
        let (version, groups) = found.expect("a group");
        let text = |path: &PathBuf| path.display().to_string();
        (version, groups.iter().map(text).collect())
    }

    #[test]
    fn the_group_is_found_in_both_versions() {
        let one = "36 35 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n37 35 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n38 35 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "5:cpu:/a\n4:memory:/slurm/job_7\n0::/b\n";
        let memory = "/sys/fs/cgroup/memory";
        let names = [
            &format!("{memory}/slurm/job_7"),
            &format!("{memory}/slurm"),
            memory,
        ];
        assert_eq!(
            paths(find(groups, one, "memory")),
            (Version::One, names.map(str::to_owned).to_vec())
        );
        // In a container that sees only its own group.
        let inside = "37 35 0:31 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(paths(find(groups, inside, "memory")).1, [memory]);
        assert_eq!(
            paths(find("4:memory:/docker/1/x\n", inside, "memory")).1,
            [&format!("{memory}/x"), memory]
        );
        // A namespace of its own, mounted over the host's.
        let hidden = "37 35 0:31 /../.. /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let over =
            format!("{hidden}99 35 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        assert_eq!(
            paths(find("4:memory:/job_7\n", &over, "memory")).1,
            [&format!("{memory}/job_7"), memory]
        );
        let two =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(paths(find("0::/job_7/step_0\n", two, "memory")).1.len(), 3);
        assert_eq!(
            paths(find("0::/../x\n", two, "memory")),
            (Version::Two, vec!["/sys/fs/cgroup".to_owned()])
        );
        for (groups, mounts) in [
            ("", two),
            ("0::/a", ""),
            ("4:memory:/a", two),
            ("x", "y - z"),
        ] {
            assert_eq!(find(groups, mounts, "memory"), None);
        }
    }

    #[test]
    fn each_kill_explains_one_end_and_the_least_limit_counts() {
        for (version, none, least) in [
            (Version::One, "9223372036854771712\n", "under_oom 0\n"),
            (Version::Two, "max\n", "low 0\noom 9\noom_group_kill 4\n"),
        ] {
            let top = tempfile::tempdir().expect("a directory");
            let own = top.path().join("job");
            let below = own.join("without the controller");
            fs::create_dir_all(&below).expect("a directory");
            let count = |kills: u64| {
                let text = format!("{least}oom_kill {kills}\n");
                fs::write(own.join(version.kills()), text).expect("written");
            };
            let groups = || vec![below.clone(), own.clone(), top.path().to_owned()];
            assert!(Memory::of(version, groups()).is_none());
            count(3);
            let mut memory = Memory::of(version, groups()).expect("a count");
            assert!(!memory.explains(true), "it was another who killed it");
            count(5);
            assert!(!memory.explains(false));
            assert_eq!([(); 3].map(|()| memory.explains(true)), [true, true, false]);
            count(6);
            assert!(!memory.explains(false));
            let later = memory.looked.after(TOGETHER * 2);
            assert!(
                !memory.explains_at(later, true),
                "that was about another process"
            );
            assert_eq!(memory.limit(), None);
            fs::write(own.join(version.limit()), none).expect("written");
            assert_eq!(memory.limit(), None);
            fs::write(top.path().join(version.limit()), "4096\n").expect("written");
            assert_eq!(memory.limit(), Some(4096));
        }
    }
}
