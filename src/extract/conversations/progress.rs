//! The progress of a walk, over the users or over the changed conversations, as
//! it is kept in the bookmarks of its streams.
//!
//! All streams of a walk have the same members next to their replication key,
//! until the walk is complete. A stopped walk continues from there. It is
//! complete up to the start of its first part; later changes are left to the
//! next walk.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Discovery;
use crate::extract::ids::is_before;
use crate::extract::window::Window;
use crate::singer::Bookmark;
use crate::timestamp;

/// When the first part of the walk was started.
const STARTED_AT: &str = "walk_started_at";
/// The time from which records of the stream are read.
const FROM: &str = "walk_from";
/// The time up to which the stream will be complete.
const TO: &str = "walk_to";
/// Everything of the users created before this is delivered.
const CREATED_TO: &str = "walk_users_created_to";
/// The end of the window of creation times that is being read, ...
const WINDOW_TO: &str = "walk_window_created_to";
/// ... and the user in it up to whom everything is delivered, in the order of
/// ids.
const WINDOW_USERS_TO: &str = "walk_window_users_to";

/// The id up to which changed conversations are delivered. Empty if none is.
const CONVERSATIONS_TO: &str = "walk_conversations_to";

const ALL: [&str; 7] = [
    STARTED_AT,
    FROM,
    TO,
    CREATED_TO,
    WINDOW_TO,
    WINDOW_USERS_TO,
    CONVERSATIONS_TO,
];

/// No user was created before this. It is earlier than the product, but later
/// than the epoch.
const BEGINNING: DateTime<Utc> = match DateTime::from_timestamp(946_684_800, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

/// A walk and its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkProgress {
    pub started_at: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub position: Position,
}

/// A position in a walk.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    Users(Place),
    /// After the conversation with this id, in the order of
    /// [`Ids`](crate::extract::ids::Ids), or before the first one.
    Conversations(Option<String>),
}

/// A position among the users, in the order of the walk.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Users created before this are done.
    pub created_to: DateTime<Utc>,
    /// The window that begins there, if some of its users are done.
    pub within: Option<Within>,
}

/// A position within a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Within {
    pub window_to: DateTime<Utc>,
    /// Users up to this id are done, in the order of
    /// [`Ids`](crate::extract::ids::Ids).
    pub users_to: String,
}

impl WalkProgress {
    /// A new walk, which will be complete up to `to`.
    pub fn new(started_at: DateTime<Utc>, to: DateTime<Utc>, by: Discovery) -> Self {
        Self {
            started_at,
            to,
            position: match by {
                Discovery::Users => Position::Users(Place {
                    created_to: BEGINNING,
                    within: None,
                }),
                Discovery::Reports => Position::Conversations(None),
            },
        }
    }

    /// The walk in a bookmark, if it has this discovery, reads the stream from
    /// `from`, and ends no later than `to`.
    pub fn read(
        bookmark: &Bookmark,
        by: Discovery,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<Self> {
        let time = |name| timestamp::parse(bookmark.get(name)?.as_str()?);
        let progress = Self {
            started_at: time(STARTED_AT)?,
            to: time(TO)?,
            position: match by {
                Discovery::Users => Position::Users(Place {
                    created_to: time(CREATED_TO)?,
                    within: Within::read(time(WINDOW_TO), bookmark.get(WINDOW_USERS_TO)),
                }),
                Discovery::Reports => {
                    let id = bookmark.get(CONVERSATIONS_TO)?.as_str()?;
                    Position::Conversations((!id.is_empty()).then(|| id.to_owned()))
                }
            },
        };
        let sound = time(FROM)? <= from && progress.to <= to && progress.position.is_before(to);
        sound.then_some(progress)
    }

    /// Writes the walk into a stream's bookmark.
    pub fn write(&self, bookmark: &mut Bookmark, from: DateTime<Utc>) {
        Self::clear(bookmark);
        let mut set = |name, time| bookmark.set(name, timestamp::format(time));
        set(STARTED_AT, self.started_at);
        set(FROM, from);
        set(TO, self.to);
        match &self.position {
            Position::Users(place) => {
                set(CREATED_TO, place.created_to);
                if let Some(within) = &place.within {
                    set(WINDOW_TO, within.window_to);
                    bookmark.set(WINDOW_USERS_TO, within.users_to.as_str());
                }
            }
            Position::Conversations(id) => {
                bookmark.set(CONVERSATIONS_TO, id.as_deref().unwrap_or_default());
            }
        }
    }

    /// Removes the walk from a bookmark.
    pub fn clear(bookmark: &mut Bookmark) {
        for name in ALL {
            bookmark.remove(name);
        }
    }

    /// The walk to continue for streams at these positions: the least advanced
    /// one. `None` if they are in different walks, or if one is in none.
    pub fn common(all: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let least = |one: Self, other: Self| {
            let same = one.started_at == other.started_at && one.to == other.to;
            let position = one.position.least(other.position)?;
            same.then_some(Self { position, ..other })
        };
        let mut all = all.into_iter();
        let first = all.next()??;
        all.try_fold(first, |common, next| least(common, next?))
    }
}

impl Position {
    fn is_before(&self, to: DateTime<Utc>) -> bool {
        match self {
            Position::Users(place) => place.is_before(to),
            Position::Conversations(_) => true,
        }
    }

    /// The earlier one. `None` if their discoveries differ.
    fn least(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Position::Users(one), Position::Users(other)) => {
                Some(Position::Users(one.least(other)))
            }
            (Position::Conversations(one), Position::Conversations(other)) => {
                let both = one.zip(other);
                Some(Position::Conversations(both.map(
                    |(one, other)| match is_before(&one, &other) {
                        true => one,
                        false => other,
                    },
                )))
            }
            _ => None,
        }
    }
}

impl Place {
    fn is_before(&self, to: DateTime<Utc>) -> bool {
        let within = self.within.as_ref();
        let end = within.map_or(self.created_to, |it| it.window_to);
        self.created_to <= end && end <= to
    }

    fn least(self, other: Self) -> Self {
        match self.created_to.cmp(&other.created_to) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => Self {
                within: match (self.within, other.within) {
                    (Some(one), Some(other)) if one.window_to == other.window_to => {
                        Some(match is_before(&one.users_to, &other.users_to) {
                            true => one,
                            false => other,
                        })
                    }
                    _ => None,
                },
                ..self
            },
        }
    }

    /// The users that remain in a walk up to `to`.
    pub fn rest(&self, to: DateTime<Utc>) -> Window {
        Window {
            from: self.created_to,
            to,
        }
    }

    /// The windows of users to read from here to `to`.
    pub fn windows(&self, to: DateTime<Utc>) -> Vec<Window> {
        let from = self.created_to;
        match &self.within {
            None => vec![Window { from, to }],
            Some(Within { window_to, .. }) => vec![
                Window {
                    from,
                    to: *window_to,
                },
                Window {
                    from: *window_to,
                    to,
                },
            ],
        }
    }
}

impl Within {
    fn read(window_to: Option<DateTime<Utc>>, users_to: Option<&Value>) -> Option<Self> {
        Some(Self {
            window_to: window_to?,
            users_to: users_to?.as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    fn progress(started: i64, created_to: i64, within: Option<(i64, &str)>) -> WalkProgress {
        WalkProgress {
            started_at: at(started),
            to: at(started),
            position: Position::Users(Place {
                created_to: at(created_to),
                within: within.map(|(to, users_to)| Within {
                    window_to: at(to),
                    users_to: users_to.into(),
                }),
            }),
        }
    }

    fn found(id: Option<&str>) -> WalkProgress {
        WalkProgress {
            position: Position::Conversations(id.map(str::to_owned)),
            ..progress(9, 0, None)
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        use Discovery::{Reports, Users};
        for (by, written) in [
            (Users, progress(9, 3, None)),
            (Users, progress(9, 3, Some((5, "40")))),
            (Reports, found(None)),
            (Reports, found(Some("7"))),
        ] {
            let mut bookmark = Bookmark::default();
            progress(8, 1, Some((2, "2"))).write(&mut bookmark, at(0));
            written.write(&mut bookmark, at(1));
            let read = |by, from, to| WalkProgress::read(&bookmark, by, at(from), at(to));
            assert_eq!(read(by, 1, 9), Some(written.clone()));
            assert_eq!(read(by, 2, 10), Some(written.clone()));
            assert_eq!(read(by, 0, 9), None, "the first part began later");
            assert_eq!(read(by, 1, 8), None, "the first part reached further");
            let other = if by == Users { Reports } else { Users };
            assert_eq!(read(other, 1, 9), None, "the other way");
            WalkProgress::clear(&mut bookmark);
            assert_eq!(bookmark, Bookmark::default());
        }
    }

    #[test]
    fn the_least_advanced_counts() {
        let common = |one: &WalkProgress, other: &WalkProgress| {
            WalkProgress::common([one, other].map(|it| Some(it.clone())))
        };
        let (early, late) = (progress(9, 3, None), progress(9, 4, Some((5, "12"))));
        let least = |one: &WalkProgress, other: &WalkProgress, least: &WalkProgress| {
            assert_eq!(common(one, other).as_ref(), Some(least));
            assert_eq!(common(other, one).as_ref(), Some(least));
        };
        least(&early, &late, &early);
        let later = progress(9, 4, Some((5, "7")));
        least(&late, &later, &later);
        let between = progress(9, 4, None);
        least(&late, &between, &between);
        least(&found(Some("7")), &found(Some("12")), &found(Some("7")));
        least(&found(None), &found(Some("7")), &found(None));
        assert_eq!(common(&early, &progress(8, 3, None)), None);
        assert_eq!(common(&early, &found(None)), None, "different ways");
        assert_eq!(WalkProgress::common([Some(early), None]), None);
    }
}
