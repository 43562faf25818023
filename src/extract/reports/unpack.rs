//! The content of a downloaded file: a CSV, or a zip with several.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use zip::ZipArchive;
use zip::result::ZipError;

/// The first bytes of a zip: of its first member, or of the end of an empty
/// one.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The name used for a file that is not a zip.
const PLAIN: &str = "the file";

/// How many bytes the unpacking thread passes to the parsing thread at once.
const CHUNK: usize = 64 * 1024;

/// How many chunks may wait in between.
const CHUNKS: usize = 8;

/// A zip is rejected if it unpacks to more than this many times its size and to
/// more than [`SUSPICIOUS_SIZE`].
const MOST_RATIO: u64 = 300;
const SUSPICIOUS_SIZE: u64 = 256 * 1024 * 1024;

/// Why a file can't be read.
#[derive(Debug)]
pub enum BadFile {
    /// It arrived damaged. Another download may succeed.
    Damaged(String),
    /// It is something else, such as an error page of a proxy. Another download
    /// may succeed.
    Foreign(String),
    /// It is unusable as the server has it.
    Unusable(String),
}

impl From<io::Error> for BadFile {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // An unsupported compression method.
            io::ErrorKind::Unsupported => BadFile::Unusable(error.to_string()),
            _ => BadFile::Damaged(error.to_string()),
        }
    }
}

impl From<ZipError> for BadFile {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(_) | ZipError::InvalidArchive(_) => BadFile::Damaged(error.to_string()),
            _ => BadFile::Unusable(error.to_string()),
        }
    }
}

/// Reads a file completely, so that damage is found before any of its rows is
/// written, and calls `each` with each of its members. `each` need not read a
/// member to its end. `most` limits the unpacked size in bytes.
///
/// # Errors
/// See [`BadFile`]. Also the errors of `each`.
pub fn check(
    file: &mut File,
    most: u64,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), BadFile>,
) -> Result<(), BadFile> {
    if !is_zip(file)? {
        // Its length was already limited by the download.
        return each(PLAIN, &mut &*file);
    }
    let (most, problem) = bound(file.metadata()?.len(), most);
    let mut unpacked = 0;
    let mut rest = vec![0; CHUNK];
    for_each_member(file, |name, content| {
        let left = (most - unpacked).saturating_add(1);
        let mut bounded = content.take(left);
        let checked = each(name, &mut bounded);
        // If the file is damaged or too large, this takes precedence over what
        // `each` reports.
        while bounded.read(&mut rest)? > 0 {}
        unpacked += left - bounded.limit();
        match unpacked > most {
            true => Err(BadFile::Unusable(problem.clone())),
            false => checked,
        }
    })
}

/// The maximum unpacked size of a zip of `size` bytes, and the message for a
/// larger one.
fn bound(size: u64, most: u64) -> (u64, String) {
    let absurd = SUSPICIOUS_SIZE.max(size.saturating_mul(MOST_RATIO));
    if absurd < most {
        let problem = format!("the file unpacks to more than {MOST_RATIO} times its {size} bytes");
        return (absurd, problem);
    }
    let problem = format!("the file unpacks to more than {most} bytes");
    (most, problem)
}

/// Calls `each` with the name and content of each member, which another thread
/// unpacks meanwhile. Files that macOS adds to a zip are skipped.
///
/// # Errors
/// The error of `each`, or a converted read error.
pub fn for_each_member<E: From<BadFile>>(
    file: &mut File,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    if !is_zip(file).map_err(BadFile::from)? {
        return each(PLAIN, &mut &*file);
    }
    let mut archive = ZipArchive::new(&*file).map_err(BadFile::from)?;
    let (mut members, mut notes) = (0, 0);
    for at in 0..archive.len() {
        let named = archive.by_index_raw(at).map_err(BadFile::from)?;
        let name = named.name().map_err(BadFile::from)?.into_owned();
        let is_note = is_note_of_a_mac(&name);
        if named.is_dir() || is_note {
            notes += usize::from(is_note);
            continue;
        }
        drop(named);
        members += 1;
        let member = archive.by_index(at).map_err(BadFile::from)?;
        let (sender, receiver) = sync_channel(CHUNKS);
        thread::scope(|scope| {
            scope.spawn(move || unpack(member, &sender));
            each(&name, &mut Chunks::new(receiver))
        })?;
    }
    match members == 0 && notes > 0 {
        true => Err(BadFile::Unusable(
            "the zip has only files added by macOS, and no report".into(),
        )
        .into()),
        false => Ok(()),
    }
}

/// Whether a member of this name must be a CSV. A file that is not a zip must
/// be one too.
pub fn is_csv(name: &str) -> bool {
    name == PLAIN || name.to_ascii_lowercase().ends_with(".csv")
}

fn is_note_of_a_mac(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or_default();
    name.starts_with("__MACOSX/") || base.starts_with("._")
}

fn is_zip(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::with_capacity(4);
    file.seek(SeekFrom::Start(0))?;
    (&*file).take(4).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(ZIP.contains(&start.as_slice()))
}

fn unpack(mut member: impl Read, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        // Large chunks reduce the cost of passing them on.
        let mut chunk = vec![0; CHUNK];
        let read = member.read(&mut chunk).map(|length| {
            chunk.truncate(length);
            chunk
        });
        // The parser gets an error at the end of the data, if it still reads.
        let ended = !matches!(&read, Ok(chunk) if !chunk.is_empty());
        if chunks.send(read).is_err() || ended {
            return;
        }
    }
}

/// Reads from an unpacking thread.
struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Chunks {
    fn new(receiver: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self {
            receiver,
            chunk: io::Cursor::default(),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_ratio_is_absurd_from_a_size_on() {
        let most = |size| bound(size, 8 << 30).0;
        assert_eq!(most(1000), SUSPICIOUS_SIZE);
        assert_eq!(most(10 << 20), 3000 << 20);
        assert_eq!(most(64 << 20), 8 << 30);
        assert_eq!(bound(1000, 500).0, 500);
    }
}
