//! Numbers that look random and depend on the seed alone.

/// One step of SplitMix64: a well mixed number for each input.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers that belongs to one thing of the account.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of thing `index` of the sort `sort` ("user", "message", …).
    pub fn of(seed: u64, sort: &str, index: u64) -> Rng {
        let sort = sort
            .bytes()
            .fold(seed, |sum, byte| mix(sum ^ u64::from(byte)));
        Rng(mix(sort ^ mix(index)))
    }

    #[allow(
        clippy::should_implement_trait,
        reason = "the numbers never end, so that none is optional"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `limit - 1`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included; `low` if the range is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + i64::try_from(self.below(width.saturating_add(1))).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index(choices.len())]
    }

    /// A place in a list of `len` things; 0 if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// 128 bits in the form of a UUID of version 4.
    pub fn key(&mut self) -> u128 {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let version = (bits & !(0xf << 76)) | (4 << 76);
        (version & !(0b11 << 62)) | (0b10 << 62)
    }

    pub fn uuid(&mut self) -> String {
        uuid(self.key())
    }
}

/// The 36 characters of a UUID.
pub fn uuid(key: u128) -> String {
    let hex = format!("{key:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// The number behind the 36 characters of a UUID; `None` if `text` is none.
pub fn parse_uuid(text: &str) -> Option<u128> {
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || dashes.iter().any(|&at| text.as_bytes()[at] != b'-') {
        return None;
    }
    u128::from_str_radix(&text.replace('-', ""), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_sort_and_index() {
        let number = |seed, sort, index| Rng::of(seed, sort, index).next();
        assert_eq!(number(1, "user", 7), number(1, "user", 7));
        assert_ne!(number(1, "user", 7), number(2, "user", 7));
        assert_ne!(number(1, "user", 7), number(1, "agent", 7));
        assert_ne!(number(1, "user", 7), number(1, "user", 8));
    }

    #[test]
    fn uuids_are_read_back() {
        let key = Rng::of(1, "user", 0).key();
        assert_eq!(parse_uuid(&uuid(key)), Some(key));
        assert_eq!(&uuid(key)[14..15], "4");
        assert_eq!(parse_uuid("no uuid"), None);
    }
}
