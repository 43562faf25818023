//! A hundred random worlds. A seed that fails elsewhere gets a test here.

/// In parts, which run at the same time.
mod nothing_is_lost_in_a_hundred_worlds {
    use crate::worlds::play;

    #[test]
    fn first() {
        (1..=25).for_each(play);
    }

    #[test]
    fn second() {
        (26..=50).for_each(play);
    }

    #[test]
    fn third() {
        (51..=75).for_each(play);
    }

    #[test]
    fn fourth() {
        (76..=100).for_each(play);
    }
}

/// Lists behind an empty first page, users and roles in an order that moves,
/// a page of users that can't be read, and a proxy's page in place of a file.
#[test]
fn seeds_that_failed_once() {
    for seed in [
        202, 246, 315, 349, 352, 645, 688, 1266, 1483, 1814, 1816, 2137, 2787,
    ] {
        crate::worlds::play(seed);
    }
}
