//! Spans of time in which a stream is read.

use chrono::{DateTime, TimeDelta, Utc};

/// The API's times have this resolution.
const RESOLUTION: TimeDelta = TimeDelta::milliseconds(1);

/// A span of time that includes its start and excludes its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Window {
    /// Whether there is no time in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Whether there is a time in both.
    pub fn overlaps(&self, other: Window) -> bool {
        self.from.max(other.from) < self.to.min(other.to)
    }

    /// Two windows that make up this one, neither of them empty; none where
    /// the API's times are too coarse to tell the halves apart.
    pub fn halves(&self) -> Option<(Window, Window)> {
        let half = TimeDelta::milliseconds((self.to - self.from).num_milliseconds() / 2);
        if half < RESOLUTION {
            return None;
        }
        let middle = self.from + half;
        Some((
            Window {
                from: self.from,
                to: middle,
            },
            Window {
                from: middle,
                to: self.to,
            },
        ))
    }

    /// The start to ask for where the API's lower bound may exclude the time
    /// itself ("after the parameter value"): no record at the start is lost,
    /// and one just before it may be repeated.
    pub fn exclusive_from(&self) -> DateTime<Utc> {
        self.from - RESOLUTION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, to: i64) -> Window {
        Window {
            from: DateTime::from_timestamp_millis(from).unwrap(),
            to: DateTime::from_timestamp_millis(to).unwrap(),
        }
    }

    #[test]
    fn halving_always_advances() {
        assert_eq!(window(0, 5).halves(), Some((window(0, 2), window(2, 5))));
        assert_eq!(window(0, 2).halves(), Some((window(0, 1), window(1, 2))));
        assert_eq!(window(0, 1).halves(), None);
        assert_eq!(window(3, 3).halves(), None);
    }
}
