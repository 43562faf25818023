//! Where in a record a value stands.

use std::fmt::Write as _;

/// The way to a value, from the record's property down. It lives on the stack
/// and is spelt out only for a value that doesn't fit.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Property(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// A property of the record.
    pub fn top(name: &'p str) -> Self {
        Self {
            parent: None,
            step: Step::Property(name),
        }
    }

    /// A property of the object here.
    pub fn property(&'p self, name: &'p str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Property(name),
        }
    }

    /// An item of the list here, counted from 0.
    pub fn item(&'p self, number: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Item(number),
        }
    }

    /// How many objects and lists stand around the value within its property.
    pub fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }

    /// As in `message_parts[2].text.content`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, true);
        text
    }

    /// As in `message_parts[].text.content`: one text for all items of a list.
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
            Step::Property(name) => {
                if self.parent.is_some() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Item(number) if numbered => {
                write!(text, "[{number}]").expect("a String takes every write");
            }
            Step::Item(_) => text.push_str("[]"),
        }
    }
}
