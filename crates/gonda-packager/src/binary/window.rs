//! A stream as the bytes that parsers want: read where they ask, kept for as long as they look, and no more than a
//! budget in all.

use std::cell::Cell;
use std::io::{Read, Seek};
use std::ops::Range;

use object::ReadRef;
use object::read::ReadCache;

/// Bytes that headers may ask for. Those of the largest programs take a few megabytes; a file made to exhaust memory,
/// or to be read again and again, ends here.
const BUDGET: u64 = 48 << 20;
/// What each read costs at least.
const LEAST_COST: u64 = 16;

/// The stream behind the windows of a file.
pub(super) struct Stream<R: Read + Seek> {
    cache: ReadCache<R>,
    budget: Cell<u64>,
    exhausted: Cell<bool>,
}

impl<R: Read + Seek> Stream<R> {
    pub(super) fn new(file: R) -> Self {
        Self { cache: ReadCache::new(file), budget: Cell::new(BUDGET), exhausted: Cell::new(false) }
    }

    /// The whole file; `None` where its length can't be had.
    pub(super) fn window(&self) -> Option<Window<'_, R>> {
        let size = (&self.cache).len().ok()?;
        Some(Window { stream: self, offset: 0, size })
    }

    /// Whether a read was refused because of the budget.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    fn pay(&self, size: u64) -> Result<(), ()> {
        let left = self.budget.get().checked_sub(size.max(LEAST_COST));
        self.exhausted.set(self.exhausted.get() || left.is_none());
        self.budget.set(left.ok_or(())?);
        Ok(())
    }
}

/// A range of a file.
pub(super) struct Window<'a, R: Read + Seek> {
    stream: &'a Stream<R>,
    offset: u64,
    size: u64,
}

impl<R: Read + Seek> Clone for Window<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Read + Seek> Copy for Window<'_, R> {}

impl<'a, R: Read + Seek> Window<'a, R> {
    /// A range of this one; `None` where it isn't all there.
    pub(super) fn part(self, offset: u64, size: u64) -> Option<Self> {
        let end = offset.checked_add(size)?;
        (end <= self.size).then_some(Self { offset: self.offset + offset, size, ..self })
    }

    /// Where it begins in the file.
    pub(super) fn start(self) -> u64 {
        self.offset
    }

    /// The first 64 bytes, or as many as there are.
    pub(super) fn head(self) -> Option<&'a [u8]> {
        self.read_bytes_at(0, self.size.min(64)).ok()
    }
}

impl<'a, R: Read + Seek> ReadRef<'a> for Window<'a, R> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        let end = offset.checked_add(size).ok_or(())?;
        if end > self.size {
            return Err(());
        }
        self.stream.pay(size)?;
        (&self.stream.cache).read_bytes_at(self.offset + offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        if range.end > self.size {
            return Err(());
        }
        let found =
            (&self.stream.cache).read_bytes_at_until(self.offset + range.start..self.offset + range.end, delimiter)?;
        self.stream.pay(found.len() as u64)?;
        Ok(found)
    }
}
