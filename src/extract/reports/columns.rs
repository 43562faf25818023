//! Maps the columns of a file to the properties of the schema.

use std::collections::HashMap;

use csv::StringRecord;
use xxhash_rust::xxh3::xxh3_64;

use crate::singer::Fields;

/// Misspelt columns: `(misspelt, property)`.
pub type Aliases = &'static [(&'static str, &'static str)];

/// The columns of a file.
#[derive(Debug)]
pub struct Columns {
    /// The position of the column for each property of the schema.
    pub of_field: Vec<Option<usize>>,
    /// Columns without a property, by their name in the file.
    pub unknown: Vec<(String, usize)>,
    /// The positions of all columns, each with a hash of its normalised name,
    /// and sorted by it. Rows are hashed in this order, whatever the order of
    /// the file.
    pub hashed: Vec<(u64, usize)>,
}

impl Columns {
    /// Matches a header with the schema. `None` if no column is known.
    ///
    /// Case is ignored, and so is whether words are joined by a space, `_`, `-`
    /// or nothing. A byte order mark before the first name is ignored too.
    pub fn new(header: &StringRecord, fields: &Fields, aliases: Aliases) -> Option<Self> {
        let properties: HashMap<String, usize> = fields
            .list()
            .iter()
            .enumerate()
            // No column can be `_row_id` or `_extra`, which the tap creates.
            .filter(|(_, field)| !field.name.starts_with('_'))
            .map(|(at, field)| (normalise(&field.name), at))
            .collect();
        let aliases: HashMap<String, String> = aliases
            .iter()
            .map(|(misspelt, property)| (normalise(misspelt), normalise(property)))
            .collect();
        let mut columns = Columns {
            of_field: vec![None; fields.list().len()],
            unknown: Vec::new(),
            hashed: Vec::new(),
        };
        for (at, name) in header.iter().enumerate() {
            let normalised = normalise(name);
            let normalised = aliases.get(&normalised).cloned().unwrap_or(normalised);
            match properties.get(&normalised) {
                Some(field) if columns.of_field[*field].is_none() => {
                    columns.of_field[*field] = Some(at);
                }
                // An unknown column, or a second one of the same name.
                _ => {
                    let name = columns.free_name(name, at, fields);
                    columns.unknown.push((name, at));
                }
            }
            columns.hashed.push((xxh3_64(normalised.as_bytes()), at));
        }
        columns.hashed.sort_unstable();
        columns
            .of_field
            .iter()
            .any(Option::is_some)
            .then_some(columns)
    }

    /// The position of the column with this name, whether the schema has it or
    /// not.
    pub fn find(&self, name: &str) -> Option<usize> {
        let hash = xxh3_64(normalise(name).as_bytes());
        let found = self.hashed.iter().find(|(own, _)| *own == hash);
        found.map(|(_, at)| *at)
    }

    /// A unique name for a column without a property: the one in the file,
    /// numbered if it is taken.
    fn free_name(&self, name: &str, at: usize, fields: &Fields) -> String {
        let name = match name.trim_matches(['\u{feff}', ' ']) {
            "" => nameless(at),
            name => name.to_owned(),
        };
        let taken = |name: &str| {
            fields.find(name, 0).is_some() || self.unknown.iter().any(|(own, _)| own == name)
        };
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !taken(name))
            .unwrap_or(name)
    }
}

/// A name for a column without one.
pub fn nameless(at: usize) -> String {
    format!("column_{}", at + 1)
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
            "_extra": {"type": "object"},
            "_row_id": {"type": "string"},
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
        assert_eq!(
            columns.of_field,
            [Some(1), Some(0), Some(2), None, None, None]
        );
        assert_eq!(
            columns.unknown,
            [("new column".into(), 3), ("new column_2".into(), 4)]
        );
        let header =
            StringRecord::from(vec!["missing", "", "Missing", "missing", "extra", "row id"]);
        let columns = Columns::new(&header, &fields, aliases).unwrap();
        let names: Vec<&str> = columns
            .unknown
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            ["column_2", "Missing", "missing_2", "extra", "row id"]
        );
        let html = StringRecord::from(vec!["<html>"]);
        assert!(Columns::new(&html, &fields, aliases).is_none());
    }
}
