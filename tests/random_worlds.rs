//! A hundred random worlds, and each that ever failed.

use crate::worlds::play;

/// Worlds in which something was lost once.
const ONCE_FAILED: [u64; 0] = [];

fn play_all(seeds: impl IntoIterator<Item = u64>) {
    seeds.into_iter().for_each(play);
}

#[test]
fn nothing_is_lost_in_worlds_that_failed_once() {
    play_all(ONCE_FAILED);
}

/// In parts, which run at the same time.
mod nothing_is_lost_in_a_hundred_worlds {
    use super::play_all;

    #[test]
    fn first() {
        play_all(1..=25);
    }

    #[test]
    fn second() {
        play_all(26..=50);
    }

    #[test]
    fn third() {
        play_all(51..=75);
    }

    #[test]
    fn fourth() {
        play_all(76..=100);
    }
}
