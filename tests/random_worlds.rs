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
