//! The location of a value in a record.

use std::fmt::Write as _;

/// The path to a value, starting at a property of the record. It lives on the
/// stack, and becomes text only for a value that doesn't fit.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: PathStep<'p>,
}

#[derive(Clone, Copy)]
enum PathStep<'p> {
    Property(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// A property of the record.
    pub fn top(name: &'p str) -> Self {
        Self {
            parent: None,
            step: PathStep::Property(name),
        }
    }

    /// A property of this object.
    pub fn property(&'p self, name: &'p str) -> Self {
        Self {
            parent: Some(self),
            step: PathStep::Property(name),
        }
    }

    /// An item of this list, counted from 0.
    pub fn item(&'p self, number: usize) -> Self {
        Self {
            parent: Some(self),
            step: PathStep::Item(number),
        }
    }

    /// How many objects and lists contain the value, inside its top-level
    /// property.
    pub fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }

    /// The path as text, such as `message_parts[2].text.content`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, true);
        text
    }

    /// The path without item numbers, such as `message_parts[].text.content`.
    pub fn text_of_all(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, false);
        text
    }

    fn write(&self, text: &mut String, numbered: bool) {
        if let Some(parent) = self.parent {
            parent.write(text, numbered);
        }
        match self.step {
            PathStep::Property(name) => {
                if self.parent.is_some() {
                    text.push('.');
                }
                text.push_str(name);
            }
            PathStep::Item(number) if numbered => {
                write!(text, "[{number}]").expect("a String takes every write");
            }
            PathStep::Item(_) => text.push_str("[]"),
        }
    }
}
