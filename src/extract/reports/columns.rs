//! Which column of a file is which property of the schema.

use std::collections::HashMap;

use csv::StringRecord;

use crate::singer::Fields;

/// Misspelt columns, and what they are: `(misspelt, property)`.
pub type Aliases = &'static [(&'static str, &'static str)];

/// The columns of one file.
#[derive(Debug)]
pub struct Columns {
    /// For each property of the schema, the place of its column.
    pub of_field: Vec<Option<usize>>,
    /// Columns that no property has, by their name in the file.
    pub unknown: Vec<(String, usize)>,
    /// All columns with their normalised names, sorted by them: the order in
    /// which a row is hashed, whatever the file's order is.
    pub sorted: Vec<(String, usize)>,
}

impl Columns {
    /// Matches a header with the schema; none if no column is known.
    ///
    /// Case doesn't count, nor whether words are joined by a space, `_`, `-`
    /// or nothing; a byte order mark is no part of the first name.
    pub fn new(header: &StringRecord, fields: &Fields, aliases: Aliases) -> Option<Self> {
        let properties: HashMap<String, usize> = fields
            .list()
            .iter()
            .enumerate()
            .map(|(at, field)| (normalise(&field.name), at))
            .collect();
        let aliases: HashMap<String, String> = aliases
            .iter()
            .map(|(misspelt, property)| (normalise(misspelt), normalise(property)))
            .collect();
        let mut columns = Columns {
            of_field: vec![None; fields.list().len()],
            unknown: Vec::new(),
            sorted: Vec::new(),
        };
        for (at, name) in header.iter().enumerate() {
            let normalised = normalise(name);
            let normalised = aliases.get(&normalised).cloned().unwrap_or(normalised);
            match properties.get(&normalised) {
                Some(field) if columns.of_field[*field].is_none() => {
                    columns.of_field[*field] = Some(at);
                }
                // Also a second column of the same name.
                _ => columns.unknown.push((name.trim().to_owned(), at)),
            }
            columns.sorted.push((normalised, at));
        }
        columns.sorted.sort();
        columns
            .of_field
            .iter()
            .any(Option::is_some)
            .then_some(columns)
    }
}

fn normalise(name: &str) -> String {
    name.trim_start_matches('\u{feff}')
        .chars()
        .filter(|c| !matches!(c, ' ' | '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn matches_every_spelling() {
        let schema = json!({"properties": {
            "label_sub_category_name": {"type": "string"},
            "agent_status_in_seconds": {"type": "number"},
            "last_response_timestamp_millis": {"type": "integer"},
            "missing": {"type": "string"},
        }});
        let fields = Fields::compile(&schema, &[], &|_| true);
        let aliases: Aliases = &[("abel_sub_category_name", "label_sub_category_name")];
        let header = StringRecord::from(vec![
            "\u{feff}Agent_Status in seconds",
            "abel_sub_category_name",
            "LASTRESPONSE-timestamp millis",
            "new column",
            "new column",
        ]);
        let columns = Columns::new(&header, &fields, aliases).unwrap();
        assert_eq!(columns.of_field, [Some(1), Some(0), Some(2), None]);
        assert_eq!(
            columns.unknown,
            [("new column".into(), 3), ("new column".into(), 4)]
        );
        let html = StringRecord::from(vec!["<html>"]);
        assert!(Columns::new(&html, &fields, aliases).is_none());
    }
}
