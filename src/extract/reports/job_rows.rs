//! What is known of a job's rows over all of its parts.

use super::repeats::Repeats;
use crate::extract::window::Window;
use crate::timestamp;

/// The rows of a job.
pub struct JobRows {
    pub window: Window,
    /// The window, as rows have it.
    pub period: [String; 2],
    pub repeats: Repeats,
    /// Rows outside of the time of their part.
    pub outside: u64,
}

impl JobRows {
    /// For a job of this window and so many parts.
    pub fn new(window: Window, parts: usize) -> Self {
        Self {
            window,
            period: [window.from, window.to].map(timestamp::format),
            repeats: Repeats::new(parts),
            outside: 0,
        }
    }
}
