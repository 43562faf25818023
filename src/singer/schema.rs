//! The part of a JSON Schema that records are written by, compiled.

use serde_json::{Map, Value};

/// What a property's value has to be.
#[derive(Debug, Clone)]
pub enum Kind {
    String,
    Timestamp,
    Integer,
    Number,
    Boolean,
    Object(Fields),
    Array(Box<Kind>),
    /// Several types at once, or none named: what is of one of them goes through.
    Any(Types),
}

/// Types of JSON values.
#[derive(Debug, Clone, Copy)]
pub struct Types(u8);

impl Types {
    const STRING: u8 = 1;
    const NUMBER: u8 = 2;
    const BOOLEAN: u8 = 4;
    const OBJECT: u8 = 8;
    const ARRAY: u8 = 16;

    /// Those of a schema's names; all where it names none.
    fn named(names: &[&str]) -> Self {
        let bit = |name: &&str| match *name {
            "string" => Self::STRING,
            "number" | "integer" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            _ => 0,
        };
        match names {
            [] => Self(u8::MAX),
            _ => Self(names.iter().map(bit).fold(0, |all, bit| all | bit)),
        }
    }

    /// Whether a value that begins with this byte, and is not null, is of one
    /// of them.
    pub fn allow(self, first: u8) -> bool {
        let bit = match first {
            b'"' => Self::STRING,
            b't' | b'f' => Self::BOOLEAN,
            b'{' => Self::OBJECT,
            b'[' => Self::ARRAY,
            _ => Self::NUMBER,
        };
        self.0 & bit != 0
    }
}

/// One property.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    /// `"name":`, as it stands in the output.
    pub label: String,
    pub kind: Kind,
    /// Whether it is written. A deselected property is known, so that it
    /// doesn't count as one that the schema lacks.
    pub selected: bool,
}

/// The properties of an object, in the schema's order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Compiles the `properties` of an object's schema. `selected` is asked
    /// with the path of each property, such as `["properties", "avatar",
    /// "properties", "url"]`.
    pub fn compile(schema: &Value, path: &[String], selected: &dyn Fn(&[String]) -> bool) -> Self {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let mut fields = Fields::default();
        for (name, property) in properties {
            let path = [path, &["properties".to_owned(), name.clone()]].concat();
            fields.push(Field {
                name: name.clone(),
                label: format!("{}:", Value::from(name.as_str())),
                kind: Kind::compile(property, &path, selected),
                selected: selected(&path),
            });
        }
        fields
    }

    /// Adds a property at the end.
    pub fn push(&mut self, field: Field) {
        self.0.push(field);
    }

    /// The properties, in order.
    pub fn list(&self) -> &[Field] {
        &self.0
    }

    /// The place of a property. It is looked for from `guess` on, since the API
    /// sends properties in about the schema's order; so few names are found
    /// sooner this way than by their hashes.
    pub fn find(&self, name: &str, guess: usize) -> Option<usize> {
        let mut places = (guess..self.0.len()).chain(0..guess.min(self.0.len()));
        places.find(|at| self.0[*at].name == name)
    }

    /// Whether no property is known: a free map.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Kind {
    /// Whether parts of its values are not selected.
    pub fn hides(&self) -> bool {
        match self {
            Kind::Object(fields) => fields
                .list()
                .iter()
                .any(|field| !field.selected || field.kind.hides()),
            Kind::Array(items) => items.hides(),
            _ => false,
        }
    }

    fn compile(schema: &Value, path: &[String], selected: &dyn Fn(&[String]) -> bool) -> Self {
        let types: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let types: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
        match types[..] {
            ["string"] if schema["format"] == "date-time" => Kind::Timestamp,
            ["string"] => Kind::String,
            ["integer"] => Kind::Integer,
            ["number"] => Kind::Number,
            ["boolean"] => Kind::Boolean,
            ["object"] => Kind::Object(Fields::compile(schema, path, selected)),
            // Selection ends at arrays: the items are taken whole.
            ["array"] => Kind::Array(Box::new(Kind::compile(&schema["items"], path, &|_| true))),
            _ => Kind::Any(Types::named(&types)),
        }
    }
}
