//! The data kept over all parts of a job.

use super::repeats::Repeats;
use crate::extract::window::Window;
use crate::timestamp;

/// The rows of a job.
pub struct JobRows {
    pub window: Window,
    /// The window, as it is written in rows.
    pub period: [String; 2],
    pub repeats: Repeats,
    /// The number of rows outside the time of their part.
    pub outside: u64,
}

impl JobRows {
    /// For a job with this window and number of parts.
    pub fn new(window: Window, parts: usize) -> Self {
        Self {
            window,
            period: [window.from, window.to].map(timestamp::format),
            repeats: Repeats::new(parts),
            outside: 0,
        }
    }
}
