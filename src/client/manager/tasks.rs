//! Tasks that belong to the connection manager, and end with it.

use tokio::task::JoinHandle;

/// Tasks that end when this is dropped.
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    pub(super) fn new(tasks: impl IntoIterator<Item = JoinHandle<()>>) -> Self {
        Self(tasks.into_iter().collect())
    }

    pub(super) fn extend(&mut self, tasks: impl IntoIterator<Item = JoinHandle<()>>) {
        self.0.extend(tasks);
    }

    /// Ends them, and waits until they have ended.
    pub(super) async fn end(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
        while let Some(task) = self.0.last_mut() {
            // It ends by being aborted; there is nothing to learn from that.
            _ = task.await;
            self.0.pop();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
