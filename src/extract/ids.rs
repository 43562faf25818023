//! Distinct ids, in one order and in little memory.

use std::collections::BTreeSet;

use uuid::Uuid;

/// A set of ids. A million of them that are UUIDs or numbers take less than
/// 64 MiB.
#[derive(Debug, Default)]
pub struct Ids(BTreeSet<Id>);

/// An id, as small as its form allows, and with the order of its form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Uuid([u8; 16]),
    /// Big-endian.
    Number([u8; 16]),
    Text(Box<str>),
}

impl Ids {
    /// Adds an id, unless it is there already.
    pub fn insert(&mut self, id: &str) {
        self.0.insert(Id::of(id));
    }

    /// Takes out all ids up to this one, which need not be there.
    pub fn skip_to(&mut self, id: &str) {
        let id = Id::of(id);
        self.0 = self.0.split_off(&id);
        self.0.remove(&id);
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The ids, as they were given, in the set's order.
    pub fn into_texts(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(Id::into_text)
    }
}

/// Whether one id comes before another in the order of [`Ids`].
pub fn is_before(id: &str, other: &str) -> bool {
    Id::of(id) < Id::of(other)
}

impl Id {
    /// What can't be written again just as it was given stays text.
    fn of(text: &str) -> Self {
        if let Ok(uuid) = Uuid::try_parse(text)
            && uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
        {
            return Self::Uuid(*uuid.as_bytes());
        }
        match text.parse::<u128>() {
            Ok(number) if number.to_string() == text => Self::Number(number.to_be_bytes()),
            _ => Self::Text(text.into()),
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Uuid(bytes) => Uuid::from_bytes(bytes).hyphenated().to_string(),
            Self::Number(bytes) => u128::from_be_bytes(bytes).to_string(),
            Self::Text(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 9] = [
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "59b838d2-f0ce-4a08-b037-fa6b18fa4b31",
        "7",
        "12",
        "746122323012625",
        "",
        "007",
        "59B838D2-f0ce-4a08-b037-fa6b18fa4b31",
        "86a76727-f5f7-40b5-8f93-309043646b1c20230415141608",
    ];

    fn texts(ids: Ids) -> Vec<String> {
        ids.into_texts().collect()
    }

    #[test]
    fn are_given_back_as_they_were_in_one_order() {
        let mut ids = Ids::default();
        for id in IDS.iter().rev().chain(&IDS) {
            ids.insert(id);
        }
        assert_eq!(ids.len(), IDS.len());
        assert_eq!(texts(ids), IDS);
        assert!(IDS.is_sorted_by(|one, other| is_before(one, other)));
    }

    #[test]
    fn those_up_to_one_are_skipped() {
        for (at, id) in IDS.iter().enumerate() {
            for is_there in [true, false] {
                let mut ids = Ids::default();
                let given = IDS.iter().filter(|own| is_there || *own != id);
                given.for_each(|id| ids.insert(id));
                ids.skip_to(id);
                assert_eq!(texts(ids), IDS[at + 1..]);
            }
        }
    }

    #[test]
    fn a_million_fit() {
        // The nodes of the tree are half full at least: 5 of 11 places.
        assert!(size_of::<Id>() * 11 / 5 * 1_000_000 < 56 << 20);
    }
}
