//! What a person needs next, once the job is ready.

use super::record::Record;
use crate::plan::Plan;
use crate::plan::settings::Mode;

/// The lines below `ready`. The token is shown only to a person at a terminal: a job's log may be read by others.
#[must_use]
pub fn lines(plan: &Plan, record: &Record, terminal: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let record_path = plan.profile.record();
    if let (Mode::Notebook, Some(url)) = (plan.settings.mode, &record.url) {
        let shown = if terminal {
            url.as_str()
        } else {
            url.split("?token=").next().unwrap_or_default()
        };
        lines.push(format!("jupyter  {shown}"));
        if !terminal {
            lines.push(format!(
                "         the token is in {} (\"token\", or whole in \"url\")",
                record_path.display()
            ));
        }
    }
    lines.push("python   import ipyparallel as ipp".to_owned());
    lines.push(format!(
        "         rc = ipp.Client(profile={:?})",
        plan.profile.name
    ));
    lines.push(format!("record   {}", record_path.display()));
    lines.push(format!("logs     {}", plan.profile.log_dir().display()));
    lines
}
