//! Sets of ids, sorted, with low memory use.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::iter::Peekable;
use std::mem;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

/// The memory limit for ids, in bytes. Beyond it, they go to a temporary file.
const IN_MEMORY: usize = 24 << 20;

/// The overhead of an id in the set, in bytes, without its text: its own size,
/// unused slots of the tree, and what the allocator adds.
const EACH: usize = 48;

/// How many bytes of the file are read or written at once.
const CHUNK: usize = 32 * 1024;

/// A set of ids. A million ids take less than 64 MiB, in any form.
#[derive(Default)]
pub struct Ids {
    memory: BTreeSet<Id>,
    /// The approximate size of these in bytes.
    bytes: usize,
    /// The file has no name, so nothing is left behind.
    file: Option<File>,
    /// Where each sorted run of ids ends in the file.
    runs: Vec<u64>,
    /// All ids up to this one are removed.
    skipped_to: Option<Id>,
}

/// An id, stored as compactly as its form allows. Ids are ordered by form, then
/// by value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Uuid([u8; 16]),
    /// Big-endian.
    Number([u8; 16]),
    Text(Box<str>),
}

impl Ids {
    /// Adds an id, if it is new.
    ///
    /// # Errors
    /// If the temporary file can't be created or written.
    pub fn insert(&mut self, id: &str) -> io::Result<()> {
        let id = Id::of(id);
        let size = EACH + id.text_size();
        if self.memory.insert(id) {
            self.bytes += size;
        }
        match self.bytes > IN_MEMORY {
            true => self.write_run(),
            false => Ok(()),
        }
    }

    /// Removes all ids up to this one, which need not be in the set.
    pub fn skip_to(&mut self, id: &str) {
        self.skipped_to = self.skipped_to.take().max(Some(Id::of(id)));
    }

    /// The number of ids.
    ///
    /// # Errors
    /// If the temporary file can't be read.
    pub fn len(&self) -> io::Result<usize> {
        self.iter().try_fold(0, |count, id| id.map(|_| count + 1))
    }

    /// The number of ids that are missing in another set.
    ///
    /// # Errors
    /// If a temporary file can't be read.
    pub fn count_missing_in(&self, other: &Self) -> io::Result<usize> {
        let mut others = other.iter().peekable();
        let mut missing = 0;
        for id in self.iter() {
            let id = id?;
            let is_earlier = |other: &io::Result<String>| {
                other.as_ref().is_ok_and(|other| is_before(other, &id))
            };
            while others.next_if(is_earlier).is_some() {}
            match others.next_if(|other| other.as_ref().map_or(true, |other| *other == id)) {
                Some(found) => drop(found?),
                None => missing += 1,
            }
        }
        Ok(missing)
    }

    /// The ids in order, in their original form.
    ///
    /// # Errors
    /// Each item is an error if the temporary file can't be read.
    pub fn iter(&self) -> impl Iterator<Item = io::Result<String>> {
        let starts = [0].into_iter().chain(self.runs.iter().copied());
        let runs = starts.zip(&self.runs).zip(self.file.iter().cycle());
        let runs = runs.map(|((start, end), file)| -> SortedIds {
            Box::new(SortedRun {
                rest: BufReader::with_capacity(
                    CHUNK,
                    Section {
                        file,
                        start,
                        end: *end,
                    },
                ),
            })
        });
        let memory: SortedIds = Box::new(self.memory.iter().cloned().map(Ok));
        MergedIds {
            sources: runs.chain([memory]).map(Iterator::peekable).collect(),
            last: self.skipped_to.clone(),
        }
    }

    /// Moves the ids in memory to the file.
    fn write_run(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        let mut out = BufWriter::with_capacity(CHUNK, file);
        for id in mem::take(&mut self.memory) {
            id.write(&mut out)?;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        self.runs.push(file.stream_position()?);
        self.bytes = 0;
        Ok(())
    }
}

/// Sorted ids.
type SortedIds<'a> = Box<dyn Iterator<Item = io::Result<Id>> + Send + 'a>;

/// The distinct ids of several sources, sorted.
struct MergedIds<'a> {
    sources: Vec<Peekable<SortedIds<'a>>>,
    /// Only ids after this one are returned.
    last: Option<Id>,
}

impl Iterator for MergedIds<'_> {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut first: Option<(usize, &Id)> = None;
            let mut failed = None;
            for (at, source) in self.sources.iter_mut().enumerate() {
                match source.peek() {
                    Some(Ok(id)) if first.is_none_or(|(_, least)| id < least) => {
                        first = Some((at, id));
                    }
                    Some(Err(_)) => failed = Some(at),
                    _ => {}
                }
            }
            let at = failed.or(first.map(|(at, _)| at))?;
            match self.sources[at].next()? {
                Err(error) => return Some(Err(error)),
                Ok(id) if self.last.as_ref().is_some_and(|last| id <= *last) => {}
                Ok(id) => {
                    self.last = Some(id.clone());
                    return Some(Ok(id.into_text()));
                }
            }
        }
    }
}

/// A run of ids in the file.
struct SortedRun<'a> {
    rest: BufReader<Section<'a>>,
}

impl Iterator for SortedRun<'_> {
    type Item = io::Result<Id>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rest.fill_buf() {
            Ok([]) => None,
            Ok(_) => Some(Id::read(&mut self.rest)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// A section of a file, read without moving the file's own position.
struct Section<'a> {
    file: &'a File,
    start: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..length], self.start)?;
        self.start += read as u64;
        Ok(read)
    }
}

/// Whether an id comes before another, in the order of [`Ids`].
pub fn is_before(id: &str, other: &str) -> bool {
    Id::of(id) < Id::of(other)
}

impl Id {
    /// An id that would not be written back exactly as given stays text.
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

    /// The size of the text outside the enum, in bytes.
    fn text_size(&self) -> usize {
        match self {
            Self::Uuid(_) | Self::Number(_) => 0,
            Self::Text(text) => text.len(),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (form, bytes) = match self {
            Self::Uuid(bytes) => (0, bytes.as_slice()),
            Self::Number(bytes) => (1, bytes.as_slice()),
            Self::Text(text) => (2, text.as_bytes()),
        };
        out.write_all(&[form])?;
        out.write_all(&(bytes.len() as u64).to_le_bytes())?;
        out.write_all(bytes)
    }

    /// Reads what [`Id::write`] wrote.
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let (mut form, mut length) = ([0], [0; 8]);
        from.read_exact(&mut form)?;
        from.read_exact(&mut length)?;
        let mut bytes = Vec::new();
        from.take(u64::from_le_bytes(length))
            .read_to_end(&mut bytes)?;
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let number = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).map_err(|_| damaged());
        match form {
            [0] => Ok(Self::Uuid(number(bytes)?)),
            [1] => Ok(Self::Number(number(bytes)?)),
            _ => {
                let text = String::from_utf8(bytes).map_err(|_| damaged())?;
                Ok(Self::Text(text.into()))
            }
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

    fn texts(ids: &Ids) -> Vec<String> {
        ids.iter().collect::<io::Result<_>>().unwrap()
    }

    #[test]
    fn are_given_back_as_they_were_in_one_order() {
        for is_on_disk in [false, true] {
            let mut ids = Ids::default();
            for (at, id) in IDS.iter().rev().chain(&IDS).enumerate() {
                ids.insert(id).unwrap();
                if is_on_disk && at % 4 == 0 {
                    ids.write_run().unwrap();
                }
            }
            assert_eq!(ids.len().unwrap(), IDS.len());
            assert_eq!(texts(&ids), IDS);
        }
        assert!(IDS.is_sorted_by(|one, other| is_before(one, other)));
    }

    #[test]
    fn those_up_to_one_are_skipped() {
        for (at, id) in IDS.iter().enumerate() {
            for is_there in [true, false] {
                let mut ids = Ids::default();
                let given = IDS.iter().filter(|own| is_there || *own != id);
                given.for_each(|id| ids.insert(id).unwrap());
                ids.skip_to(id);
                assert_eq!(texts(&ids), IDS[at + 1..]);
            }
        }
    }

    #[test]
    fn many_long_ones_are_given_back_and_few_stand_in_memory() {
        let mut ids = Ids::default();
        // Out of order, and with duplicates.
        let number = |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_003;
        let count = 600_000;
        for at in 0..count {
            ids.insert(&format!("app_{:09}_feedback", number(at)))
                .unwrap();
        }
        assert!(ids.runs.len() == 1 && ids.bytes <= IN_MEMORY);
        let distinct: std::collections::HashSet<u64> = (0..count).map(number).collect();
        assert_eq!(ids.len().unwrap(), distinct.len());
        let ids = texts(&ids);
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
