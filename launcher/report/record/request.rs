//! What the user asked for while the job ran.

use serde::Serialize;

/// A request of the user's.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Its id, as `ipjob restart` chose it.
    pub id: String,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// What is there now, or why not more.
    pub text: Option<String>,
}
