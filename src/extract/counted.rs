//! Numbers of things, in words.

/// A number with its noun: `1 user`, `2 users`.
pub fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let words = [0, 1, 2].map(|number| counted(number, "user"));
        assert_eq!(words, ["0 users", "1 user", "2 users"]);
    }
}
