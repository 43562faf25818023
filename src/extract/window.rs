//! Time windows in which a stream is read.

use chrono::{DateTime, TimeDelta, Utc};

/// The resolution of times in the API.
const RESOLUTION: TimeDelta = TimeDelta::milliseconds(1);

/// A time window, including its start and excluding its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Window {
    /// Whether the window is empty.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Whether two windows overlap.
    pub fn overlaps(&self, other: Window) -> bool {
        self.from.max(other.from) < self.to.min(other.to)
    }

    /// A window without an end.
    pub fn open(from: DateTime<Utc>) -> Self {
        Self {
            from,
            to: DateTime::<Utc>::MAX_UTC,
        }
    }

    /// Whether the window has no end.
    pub fn is_open(&self) -> bool {
        self.to == DateTime::<Utc>::MAX_UTC
    }

    /// Splits the window into `count` parts of about equal length, none of them
    /// empty. `None` if the API's resolution is too coarse for two parts.
    pub fn parts(&self, count: u64) -> Option<Vec<Window>> {
        let length = (self.to - self.from).num_milliseconds();
        let count = i64::try_from(count).unwrap_or(i64::MAX).min(length);
        let edge = |number: i64| {
            let share = i128::from(length) * i128::from(number) / i128::from(count);
            self.from + TimeDelta::milliseconds(i64::try_from(share).unwrap_or(length))
        };
        self.cut_at((1..count).map(edge))
    }

    /// Splits the window at these times, which may be in any order. `None` if
    /// none of them is within the window.
    pub fn cut_at(&self, times: impl IntoIterator<Item = DateTime<Utc>>) -> Option<Vec<Window>> {
        let times = times.into_iter();
        let mut edges: Vec<_> = times
            .filter(|time| self.from < *time && *time < self.to)
            .collect();
        if edges.is_empty() {
            return None;
        }
        edges.extend([self.from, self.to]);
        edges.sort_unstable();
        edges.dedup();
        let window = |pair: &[DateTime<Utc>]| Window {
            from: pair[0],
            to: pair[1],
        };
        Some(edges.windows(2).map(window).collect())
    }

    /// The start to request if the API may exclude the lower bound itself
    /// ("after the parameter value"). No record at the start is lost, and one
    /// just before it may be repeated.
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
    fn parts_make_up_the_window_and_none_is_empty() {
        for length in [2, 3, 5, 1000, 86_400_000] {
            for count in [2, 3, 16] {
                let parts = window(0, length).parts(count).unwrap();
                assert_eq!(parts.len() as i64, length.min(count as i64));
                assert_eq!((parts[0].from, parts[parts.len() - 1].to), {
                    let whole = window(0, length);
                    (whole.from, whole.to)
                });
                assert!(parts.iter().all(|part| !part.is_empty()));
                assert!(parts.windows(2).all(|pair| pair[0].to == pair[1].from));
            }
        }
        assert_eq!(window(0, 1).parts(16), None);
        assert_eq!(window(3, 3).parts(2), None);
    }

    #[test]
    fn times_within_a_window_cut_it() {
        let time = |millis| window(millis, millis).from;
        let times = [7, 3, 0, 3, 9, 12].map(time);
        let cut = window(0, 9).cut_at(times);
        assert_eq!(cut, Some(vec![window(0, 3), window(3, 7), window(7, 9)]));
        assert_eq!(window(0, 9).cut_at([time(0), time(9)]), None);
    }
}
