//! Counts many hashes in little memory. Beyond a limit, they are kept in a
//! temporary file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The maximum number of hashes in memory, at about 40 bytes each.
pub const IN_MEMORY: usize = 32 * 1024;

/// The number of slots in a bucket, which is read at once.
const PLACES: usize = 16;

/// The size of a slot: a hash and its count, which is 0 if the slot is free.
const PLACE: usize = size_of::<u128>() + size_of::<u32>();

const BUCKET: usize = PLACES * PLACE;

/// Counts of hashes.
#[derive(Default)]
pub struct HashTally {
    counts: HashMap<u128, u32>,
    file: Option<OnDisk>,
}

impl HashTally {
    /// Counts a hash. Returns how often it was counted before.
    ///
    /// # Errors
    /// If the temporary file can't be created, read or written.
    pub fn add(&mut self, hash: u128) -> io::Result<u32> {
        if let Some(file) = &mut self.file {
            return file.add(hash, 1);
        }
        let count = self.counts.entry(hash).or_default();
        let before = *count;
        *count += 1;
        if self.counts.len() > IN_MEMORY {
            let mut file = OnDisk::new(8 * IN_MEMORY / PLACES)?;
            for (hash, count) in std::mem::take(&mut self.counts) {
                file.add(hash, count)?;
            }
            self.file = Some(file);
        }
        Ok(before)
    }
}

/// A hash table in an unnamed file. A hash is in its bucket, or in the next one
/// with a free slot.
struct OnDisk {
    file: File,
    buckets: usize,
    used: usize,
}

impl OnDisk {
    fn new(buckets: usize) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        file.set_len((buckets * BUCKET) as u64)?;
        Ok(Self {
            file,
            buckets,
            used: 0,
        })
    }

    fn add(&mut self, hash: u128, more: u32) -> io::Result<u32> {
        if self.used > self.buckets * PLACES / 2 {
            self.grow()?;
        }
        let mut bucket = [0; BUCKET];
        let mut number = (hash >> 64) as usize % self.buckets;
        loop {
            let start = (number * BUCKET) as u64;
            self.file.read_exact_at(&mut bucket, start)?;
            for (at, place) in bucket.chunks_exact(PLACE).enumerate() {
                let (own, count) = read(place);
                if count > 0 && own != hash {
                    continue;
                }
                self.used += usize::from(count == 0);
                let written = write(hash, count + more);
                self.file
                    .write_all_at(&written, start + (at * PLACE) as u64)?;
                return Ok(count);
            }
            number = (number + 1) % self.buckets;
        }
    }

    /// Moves everything to a file four times as large.
    fn grow(&mut self) -> io::Result<()> {
        let mut larger = Self::new(4 * self.buckets)?;
        let mut bucket = [0; BUCKET];
        for number in 0..self.buckets {
            self.file
                .read_exact_at(&mut bucket, (number * BUCKET) as u64)?;
            for (hash, count) in bucket.chunks_exact(PLACE).map(read) {
                if count > 0 {
                    larger.add(hash, count)?;
                }
            }
        }
        *self = larger;
        Ok(())
    }
}

fn read(place: &[u8]) -> (u128, u32) {
    let (hash, count) = place.split_at(size_of::<u128>());
    let hash = hash
        .iter()
        .rev()
        .fold(0, |hash, byte| hash << 8 | u128::from(*byte));
    let count = count
        .iter()
        .rev()
        .fold(0, |count, byte| count << 8 | u32::from(*byte));
    (hash, count)
}

fn write(hash: u128, count: u32) -> [u8; PLACE] {
    let mut place = [0; PLACE];
    place[..size_of::<u128>()].copy_from_slice(&hash.to_le_bytes());
    place[size_of::<u128>()..].copy_from_slice(&count.to_le_bytes());
    place
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn counts_alike_in_memory_and_on_disk() {
        let mut tally = HashTally::default();
        let hashes = 6 * IN_MEMORY as u64;
        let hash = |number: u64| xxh3_128(&number.to_le_bytes());
        for round in 0..3 {
            for number in 0..hashes {
                assert_eq!(tally.add(hash(number)).unwrap(), round);
            }
        }
        let file = tally.file.unwrap();
        assert_eq!(file.used as u64, hashes);
        assert!(tally.counts.is_empty() && file.buckets > 8 * IN_MEMORY / PLACES);
    }
}
