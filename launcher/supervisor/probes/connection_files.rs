//! The connection files stay what they are, whoever else writes there.

use super::calm_pause;
use crate::here::profile::connection_files::ConnectionFiles;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Looks at them again and again, and tells what others did to them.
pub fn watch(files: Arc<ConnectionFiles>, sender: Sender) -> JoinHandle<()> {
    file_thread::spawn(async move {
        while !sender.is_closed() {
            let changes = files.look();
            if !changes.is_empty() {
                let _ = sender.send(Notice::FilesChanged(changes));
            }
            calm_pause().await;
        }
    })
}
