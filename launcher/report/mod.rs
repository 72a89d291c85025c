//! What others see: lines for people, the record for programs, the plan for the curious. Nothing else in the crate prints
//! (a lint).

pub mod console;
pub mod dry_run;
pub mod front;
mod live_line;
pub mod output;
pub mod pointer;
pub mod summary;
pub mod table;
pub mod timeline;
pub mod writer;
