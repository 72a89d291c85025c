//! What is so of engines that are no forks: from the start, or because a fork was given up or one of them starts again by itself. PURE.
//!
//! docs/design/fork.md explains the design.

use super::Context;
use super::engine_command::{nanny_fails, preloads, without_nannies};
use crate::failure::{Failure, Outcome};
use crate::plan::settings::Nanny;

/// What is done about engines that were to be forks and are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unforked {
    /// What they go without, as a person is told it.
    pub lacks: Vec<String>,
    /// Whether ipjob sends them the signals that clients send, which forks get from their nannies.
    pub are_signalled: bool,
}

/// What would be so of engines that are `forked`. Of others it is so: what they go without is remarked, and nannies that cannot be had are refused.
pub fn unforked(context: &Context, forked: bool, remarks: &mut Vec<String>) -> Outcome<Unforked> {
    if forked {
        return Ok(Unforked {
            lacks: lacks(context, "engines that are not forked"),
            are_signalled: needs_our_signals(context) && !without_nannies(context, true),
        });
    }
    if let (Nanny::On, Some((why, hint))) = (context.settings.nanny, no_nanny(context)) {
        return Err(Failure::missing(format!("--nanny on, but {why}")).hint(hint));
    }
    remarks.extend(lacks(context, "engines"));
    Ok(Unforked::default())
}

/// Whether engines that are no forks have no nanny, and ipjob can send them signals in its place.
pub fn needs_our_signals(context: &Context) -> bool {
    context.signals_ours && without_nannies(context, false)
}

/// What such engines go without and were not asked to.
fn lacks(context: &Context, who: &str) -> Vec<String> {
    let nanny =
        no_nanny(context).map(|(why, hint)| format!("{who} start without nannies: {why}; {hint}"));
    let imports = context.settings.preload.order().is_some() && !preloads(context);
    let imports = imports.then(|| {
        format!(
            "{who} import the modules of --preload when they are first used: they take only one more configuration file, and \
             --engine-arg already names it"
        )
    });
    nanny.into_iter().chain(imports).collect()
}

/// Why nannies of such engines cannot start, and what helps: a Python prints.
fn no_nanny(context: &Context) -> Option<(String, &'static str)> {
    let printed = nanny_fails(context, false)?;
    let why = format!(
        "the Python of {} prints {printed:?} when it starts, which an engine would take for its nanny's address",
        context.here.ipengine.display()
    );
    Some((
        why,
        "let its sitecustomize, usercustomize or .pth file print to stderr",
    ))
}
