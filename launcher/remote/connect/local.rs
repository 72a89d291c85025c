//! What connect makes on this machine: the local profile, and what people and programs are told. A job that another connect of this user has
//! open here already is used through that one's tunnel.

use super::announce::{self, How};
use super::profile::{self, LocalProfile, Marker};
use super::ready::Ready;
use super::{Connect, Job, Reach, background};
use crate::failure::Outcome;
use crate::plan::profile::{Profile, ProfileName};
use crate::remote::target::Host;
use jiff::Timestamp;
use std::path::Path;

impl Connect<'_> {
    /// The name of the local profile; of the job's own where none is made.
    pub(super) fn profile_name(&self) -> ProfileName {
        match (&self.options.profile, self.facts.job()) {
            (Some(name), _) | (None, Some(Job::Profile(name))) => name.clone(),
            (None, job) => ProfileName::of_job(job.map_or("", Job::as_str)),
        }
    }

    pub(super) fn make_profile(&mut self) -> Outcome<()> {
        if self.profile.is_none() {
            let ipython_dir = self.options.ipython_dir()?;
            let name = match &self.options.profile {
                Some(name) => name.clone(),
                None => LocalProfile::free_name(&ipython_dir, &self.profile_name()),
            };
            let dir = Profile::new(&ipython_dir, &name).dir;
            if let Some(other) = profile::live(&dir) {
                return self.join(&name, &dir, &other);
            }
            let marker = self.marker();
            self.profile = Some(LocalProfile::make(&ipython_dir, &name, marker)?);
            // What one of the background said of its end is old now.
            if let Some(log) = background::log(name.as_str()) {
                background::remove_log(&log);
            }
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, reach: &Reach) -> Outcome<()> {
        if self.forwards.is_empty() {
            return Ok(());
        }
        self.make_profile()?;
        if self.joined.is_some() {
            return Ok(());
        }
        let text = reach
            .client
            .on_the_laptop(|endpoint| self.ports.of(endpoint));
        let ready = self.ready(reach);
        if let Some(profile) = &mut self.profile {
            profile.write(&text)?;
            profile.tell(ready);
        }
        Ok(())
    }

    /// Tells of other clusters that the name could mean.
    pub(super) fn name_others(&self) {
        let others = self.facts.others().join(", ");
        let Some(job) = self.facts.job().filter(|_| !others.is_empty()) else {
            return;
        };
        let which = match job {
            Job::Profile(_) => "set IPYTHONDIR there to choose one",
            Job::Id(_) | Job::Element(_) => "give a profile instead of the job id",
        };
        self.console.step(&format!(
            "{} is also the name of other clusters: {others} ({which})",
            job.as_str()
        ));
    }

    pub(super) fn announce(&mut self, reach: &Reach, again: bool) -> Outcome<()> {
        self.console.still();
        let ready = self.ready(reach);
        let how = match &self.behind {
            _ if again => How::Again,
            Some(_) => How::Stays,
            None => How::First,
        };
        announce::tell(&ready, how, self.options, self.console)?;
        self.name_others();
        // Nobody may sit there when a job is requeued.
        if self.options.open
            && !again
            && let Some(url) = &ready.url
        {
            self.opened = announce::open(url, &self.socket("open.html"), self.console)?;
        }
        if let Some(behind) = self.behind.as_mut().filter(|_| !self.forwards.is_empty()) {
            behind.leave(&ready.profile, self.console)?;
        }
        Ok(())
    }

    /// What there is to tell of the job.
    pub(super) fn ready(&self, reach: &Reach) -> Ready {
        let profile = match &self.profile {
            Some(profile) => profile.name().clone(),
            // The job's own is at hand, whatever the job was called here.
            None => match self.facts.profile() {
                Some(name) => name.clone(),
                None => self.profile_name(),
            },
        };
        announce::ready(
            self.facts.job().map_or("", Job::as_str),
            profile.as_str(),
            self.profile.as_ref().map(LocalProfile::client_file),
            reach,
            &self.ports,
        )
    }
}

impl Connect<'_> {
    /// What others learn of us from the local profile.
    pub(super) fn marker(&self) -> Marker {
        Marker {
            pid: std::process::id(),
            target: self.typed.to_owned(),
            host: self.host().map(str::to_owned),
            job: self.facts.job().map_or("", Job::as_str).to_owned(),
            background: self.behind.is_some(),
            since: Timestamp::now().as_second(),
            private: Some(self.private.path().to_owned()),
            ..Marker::default()
        }
    }

    fn host(&self) -> Option<&str> {
        self.target.host.as_ref().map(Host::as_str)
    }

    /// Uses the tunnel of another connect, if that is to the same job and stays, or more is not wanted.
    pub(super) fn join(&mut self, name: &ProfileName, dir: &Path, other: &Marker) -> Outcome<()> {
        let job = self.facts.job().map_or("", Job::as_str);
        let is_enough = self.options.open || self.order.is_some();
        let may = other.is_to(self.host(), job)
            && (other.background || (is_enough && self.behind.is_none()));
        let Some(ready) = other.ready.as_ref().filter(|_| may) else {
            return Err(profile::in_use(dir, name.as_str(), other));
        };
        self.console.still();
        announce::tell(ready, How::Joined, self.options, self.console)?;
        if !other.up {
            self.console
                .warning("its connection is lost at the moment; it is trying again");
        }
        if let (true, Some(url), Some(private)) = (self.options.open, &ready.url, &other.private)
            && profile::is_private_directory(private)
        {
            // In the other's directory: there it stays until the browser has read it.
            announce::open(url, &private.join("open.html"), self.console)?;
        }
        self.joined = Some(name.clone());
        Ok(())
    }
}
