//! The part of a JSON Schema that matters for writing records, compiled.

use serde_json::{Map, Value};

/// The type of a property's value.
#[derive(Debug, Clone)]
pub enum Kind {
    String,
    Timestamp,
    Integer,
    Number,
    Boolean,
    Object(Fields),
    Array(Box<Kind>),
    /// Several types, or none given. A value of any of them is kept unchanged.
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

    /// The types with these names, or all types without names.
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

    /// Whether a value with this first byte, other than null, has one of the
    /// types.
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

/// A property.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    /// The name as it appears in the output: `"name":`.
    pub label: String,
    pub kind: Kind,
    /// Whether the property is written. Deselected properties are listed too,
    /// so that they don't count as unknown.
    pub selected: bool,
}

/// The properties of an object, in the schema's order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Compiles the `properties` of an object's schema. `selected` is called
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

    /// The position of a property. The search starts at `guess`, because the
    /// API sends properties roughly in the schema's order. With so few names,
    /// this is faster than hashing.
    pub fn find(&self, name: &str, guess: usize) -> Option<usize> {
        let mut places = (guess..self.0.len()).chain(0..guess.min(self.0.len()));
        places.find(|at| self.0[*at].name == name)
    }

    /// Whether no properties are known, as for a free-form map.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Kind {
    /// Whether any part of its values is not selected.
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
            // Selection stops at arrays: items are always selected whole.
            ["array"] => Kind::Array(Box::new(Kind::compile(&schema["items"], path, &|_| true))),
            _ => Kind::Any(Types::named(&types)),
        }
    }
}
