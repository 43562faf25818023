//! Checks whether a CSV file is complete, based on its quotes.

use std::io::{self, Read};

use memchr::{memchr, memchr3, memrchr3};

/// The maximum length of a cell in bytes, far more than any message has.
const LONGEST_CELL: u64 = 16 << 20;

/// A reader that checks what it reads, and fails after the first sign of
/// damage: text after a closing quote, as an unpaired quote causes, or a cell
/// of absurd length. Either would merge many rows into one.
pub struct Checked<R> {
    inner: R,
    quotes: Quotes,
    /// The damage in what was read. It is reported at the next read, because
    /// the header before it may still show that this is not a report.
    damage: Option<io::Error>,
}

impl<R: Read> Checked<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            quotes: Quotes::default(),
            damage: None,
        }
    }

    /// Reads the rest, and checks that the last quote was closed.
    ///
    /// # Errors
    /// If the content can't be read, or is damaged.
    pub fn finish(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while self.read(buffer)? > 0 {}
        self.quotes.finish()
    }

    /// Whether the content read so far ends with a newline.
    pub fn ends_line(&self) -> bool {
        matches!(self.quotes.last, Some(b'\n' | b'\r'))
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        let read = self.inner.read(buffer)?;
        self.damage = self.quotes.pass(&buffer[..read]).err();
        Ok(read)
    }
}

/// The parser state after the bytes so far.
#[derive(Default)]
struct Quotes {
    place: QuotePlace,
    /// The number of bytes so far.
    passed: u64,
    /// Where the current cell begins.
    cell: u64,
    /// Whether a cell was too long.
    too_long: bool,
    /// The last byte so far.
    last: Option<u8>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum QuotePlace {
    /// Before a cell: a quote here opens one.
    #[default]
    CellStart,
    /// Within a cell without quotes, where a quote is a character.
    Plain,
    Quoted,
    /// After a quote in a quoted cell: either its end, or the first half of an
    /// escaped quote.
    Closing,
}

impl Quotes {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut at = match (self.passed, bytes) {
            (0, [0xef, 0xbb, 0xbf, ..]) => 3,
            _ => 0,
        };
        while at < bytes.len() {
            at = match self.place {
                QuotePlace::CellStart | QuotePlace::Plain => self.plain(bytes, at),
                QuotePlace::Quoted => match memchr(b'"', &bytes[at..]) {
                    None => bytes.len(),
                    Some(quote) => {
                        self.place = QuotePlace::Closing;
                        at + quote + 1
                    }
                },
                QuotePlace::Closing => {
                    self.place = match bytes[at] {
                        b'"' => QuotePlace::Quoted,
                        byte if ends_cell(byte) => QuotePlace::CellStart,
                        _ => return Err(self.problem("text follows a closing quote in", at)),
                    };
                    if self.place == QuotePlace::CellStart {
                        self.end_cell(at);
                    }
                    at + 1
                }
            };
        }
        self.passed += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
        if self.too_long || self.passed - self.cell > LONGEST_CELL {
            return Err(self.problem("more than 16 MiB in or before", 0));
        }
        Ok(())
    }

    /// Ends the current cell at this position of the current bytes. The next
    /// cell begins after it.
    fn end_cell(&mut self, at: usize) {
        let end = self.passed + at as u64;
        self.too_long |= end - self.cell > LONGEST_CELL;
        self.cell = end + 1;
    }

    /// Passes text without quotes, up to and including the next quote. Returns
    /// the position to continue from.
    fn plain(&mut self, bytes: &[u8], from: usize) -> usize {
        let quote = memchr(b'"', &bytes[from..]).map(|quote| from + quote);
        let plain = &bytes[from..quote.unwrap_or(bytes.len())];
        // Cells between the first and the last separator are shorter than these
        // bytes.
        if let Some(first) = memchr3(b',', b'\n', b'\r', plain) {
            self.end_cell(from + first);
        }
        if let Some(last) = memrchr3(b',', b'\n', b'\r', plain) {
            self.cell = self.passed + (from + last + 1) as u64;
        }
        match plain.last() {
            Some(last) if ends_cell(*last) => self.place = QuotePlace::CellStart,
            Some(_) => self.place = QuotePlace::Plain,
            None => {}
        }
        let Some(quote) = quote else {
            return bytes.len();
        };
        if self.place == QuotePlace::CellStart {
            self.place = QuotePlace::Quoted;
        }
        quote + 1
    }

    fn finish(&self) -> io::Result<()> {
        match self.place {
            QuotePlace::Quoted => Err(self.problem("no quote closes", 0)),
            _ => Ok(()),
        }
    }

    fn problem(&self, problem: &str, at: usize) -> io::Error {
        let (cell, byte) = (self.cell, self.passed + at as u64);
        io::Error::other(format!(
            "{problem} the cell that begins at byte {cell} (seen at byte {byte})"
        ))
    }
}

fn ends_cell(byte: u8) -> bool {
    matches!(byte, b',' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problem found in a text that is read in pieces of this length.
    fn check(text: &[u8], piece: usize) -> Option<String> {
        let mut checked = Checked::new(text);
        let finished = checked.finish(&mut vec![0; piece]);
        finished.err().map(|error| error.to_string())
    }

    #[test]
    fn finds_quotes_without_a_partner() {
        for piece in [3, 4, 5, 1000] {
            for whole in [
                "",
                "a,b\n1,2\n",
                "\"a\",\"b,\n\"\"c\"\"\"\r\n\"\",\"\"",
                "\u{feff}\"a\",b\n",
                "5\" pipe,6\"\nx,y\"z\"",
                "a\n\"\"\"\"\n",
            ] {
                assert_eq!(check(whole.as_bytes(), piece), None, "{whole} {piece}");
            }
            for (damaged, words) in [
                (
                    "a,b\n\"1,2\n",
                    "no quote closes the cell that begins at byte 4",
                ),
                ("\u{feff}\"a", "no quote closes"),
                (
                    "a\n\"1,2\n3,\"4\"\n",
                    "text follows a closing quote in the cell",
                ),
                ("\"a\"b", "text follows"),
                ("\"\"\"", "no quote closes"),
            ] {
                let problem = check(damaged.as_bytes(), piece).unwrap_or_default();
                assert!(problem.contains(words), "{damaged} {piece}: {problem}");
            }
        }
    }

    #[test]
    fn finds_cells_of_an_absurd_length() {
        let most = LONGEST_CELL as usize;
        let cell = "x".repeat(most);
        for (text, fits) in [
            (format!("a,{cell}\nb,{cell}"), true),
            (format!("\"{}\",b", &cell[..most - 2]), true),
            (format!("a,{cell}y\n"), false),
            (format!("a,\"{cell}\"\n"), false),
        ] {
            assert_eq!(check(text.as_bytes(), 1 << 16).is_none(), fits);
        }
    }
}
