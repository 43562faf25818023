//! The rows of a CSV file, read one by one into a single buffer.

use std::borrow::Cow;
use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};

use super::unpack::BadFile;

/// The read buffer in bytes.
const BUFFER: usize = 64 * 1024;

/// The header and the rows of a file.
pub struct CsvRows<'a> {
    reader: Reader<&'a mut dyn Read>,
    row: Option<StringRecord>,
}

impl<'a> CsvRows<'a> {
    /// Rows that are too short or too long are accepted.
    pub fn new(content: &'a mut dyn Read) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        Self {
            reader: builder.buffer_capacity(BUFFER).from_reader(content),
            row: None,
        }
    }

    /// The next row. The first one is the header. Invalid UTF-8 is replaced,
    /// and NUL characters are kept.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn next(&mut self) -> Result<Option<&StringRecord>, BadFile> {
        let mut bytes = self
            .row
            .take()
            .map_or_else(ByteRecord::new, StringRecord::into_byte_record);
        if !self.reader.read_byte_record(&mut bytes).map_err(unread)? {
            return Ok(None);
        }
        let row = StringRecord::from_byte_record(bytes)
            .unwrap_or_else(|error| StringRecord::from_byte_record_lossy(error.into_byte_record()));
        Ok(Some(self.row.insert(row)))
    }
}

fn unread(error: csv::Error) -> BadFile {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => BadFile::Damaged(format!("{other:?}")),
    }
}

/// The row without NUL characters, which PostgreSQL refuses.
pub fn without_nul(row: &StringRecord) -> Cow<'_, StringRecord> {
    match memchr::memchr(0, row.as_slice().as_bytes()) {
        None => Cow::Borrowed(row),
        Some(_) => Cow::Owned(row.iter().map(|cell| cell.replace('\0', "")).collect()),
    }
}
