//! What only this job's own processes may know.

use super::curve;
use super::service::Text;

/// What only this job's own processes may know: 256 random bits each, as hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What the controller, engines and clients sign messages with.
    pub key: Text,
    /// What Jupyter asks its users for.
    pub token: Text,
    /// What stands before all pages of Jupyter's, with a slash at both ends (64 bits): servers on other ports do not get its cookies.
    pub path: String,
    /// What the controller encrypts with.
    pub curve: curve::Pair,
}
