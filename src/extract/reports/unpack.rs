//! What is in a downloaded file: one CSV, or a zip of several.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use zip::ZipArchive;

/// The beginnings of a zip: of its first member, or of the end of an empty one.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// Bytes handed from the unpacking thread to the parsing one at once.
const CHUNK: usize = 64 * 1024;

/// Chunks that wait in between.
const CHUNKS: usize = 8;

/// A zip that unpacks to more than this many times its size, and to more than
/// [`SUSPICIOUS_SIZE`], is no report.
const MOST_RATIO: u64 = 300;
const SUSPICIOUS_SIZE: u64 = 256 * 1024 * 1024;

/// Why a file can't be read.
#[derive(Debug)]
pub enum BadFile {
    /// It came in damaged: worth another download.
    Damaged(String),
    /// It is what the server has, and it can't be used.
    Unusable(String),
}

impl From<io::Error> for BadFile {
    fn from(error: io::Error) -> Self {
        BadFile::Damaged(error.to_string())
    }
}

impl From<zip::result::ZipError> for BadFile {
    fn from(error: zip::result::ZipError) -> Self {
        BadFile::Damaged(error.to_string())
    }
}

/// Reads a zip to its end, so that a damaged one is found before any of its
/// rows is written. `most` bounds what it may unpack to, in bytes. Other files
/// have nothing to check them by.
///
/// # Errors
/// See [`BadFile`].
pub fn verify(file: &mut File, most: u64) -> Result<(), BadFile> {
    if !is_zip(file)? {
        return Ok(());
    }
    let size = file.metadata()?.len();
    let mut archive = ZipArchive::new(&*file)?;
    let mut left = most;
    for at in 0..archive.len() {
        let member = archive.by_index(at)?;
        let read = io::copy(&mut member.take(left.saturating_add(1)), &mut io::sink())?;
        left = left.checked_sub(read).ok_or_else(|| {
            BadFile::Unusable(format!("the file unpacks to more than {most} bytes"))
        })?;
        let unpacked = most - left;
        if unpacked > SUSPICIOUS_SIZE && unpacked / size.max(1) > MOST_RATIO {
            return Err(BadFile::Unusable(format!(
                "the file unpacks to more than {MOST_RATIO} times its {size} bytes"
            )));
        }
    }
    Ok(())
}

/// Calls `each` with the content of each CSV in the file, which another thread
/// unpacks meanwhile, and with its name.
///
/// # Errors
/// The error of `each`, or one of reading, converted.
pub fn for_each_csv<E: From<BadFile> + Send>(
    file: &mut File,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    if !is_zip(file).map_err(BadFile::from)? {
        file.seek(SeekFrom::Start(0)).map_err(BadFile::from)?;
        return each("the file", &mut &*file);
    }
    let mut archive = ZipArchive::new(&*file).map_err(BadFile::from)?;
    for at in 0..archive.len() {
        let member = archive.by_index(at).map_err(BadFile::from)?;
        if member.is_dir() {
            continue;
        }
        let name = member.name().map_err(BadFile::from)?.into_owned();
        let (sender, receiver) = sync_channel(CHUNKS);
        thread::scope(|scope| {
            scope.spawn(move || unpack(member, &sender));
            each(&name, &mut Chunks::new(receiver))
        })?;
    }
    Ok(())
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
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut member).take(CHUNK as u64).read_to_end(&mut chunk);
        let ended = chunk.is_empty();
        let sent = match read {
            Ok(_) if ended => return,
            Ok(_) => chunks.send(Ok(chunk)),
            Err(error) => {
                // The parser reads the error where the data ends, if it still reads.
                let _ = chunks.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The receiving end of an unpacking thread, as a reader.
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
