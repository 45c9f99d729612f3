//! A WebDataset tar as a stream of samples: consecutive members with one key make one sample.
//!
//! It must never panic or stop early: a bad member spoils its sample, a broken tar ends in one
//! `BadSample` after all that could be read.

use std::io::Read;

use bytes::Bytes;

use crate::entries::{Entries, Member};
use crate::sample::{BadSample, Limits, Sample};

mod group;
use group::{Group, Part};
pub(crate) use group::{IMAGE_SUFFIXES, split};

/// Yields samples in the order of the tar.
pub(crate) struct TarReader<R> {
    entries: Entries<R>,
    limits: Limits,
    group: Option<Group>,
    /// A broken tar's reason, to be told after the sample before it.
    broken: Option<BadSample>,
    ended: bool,
}

impl<R: Read> TarReader<R> {
    pub fn new(reader: R, limits: Limits) -> Self {
        Self::over(Entries::new(reader), limits)
    }

    pub fn over(entries: Entries<R>, limits: Limits) -> Self {
        Self { entries, limits, group: None, broken: None, ended: false }
    }

    pub fn into_reader(self) -> R {
        self.entries.into_reader()
    }

    /// Reads members until one of another sample comes; gives the sample that ended, if one did.
    fn advance(&mut self) -> Option<Result<Sample, BadSample>> {
        let ended = match self.entries.next_file() {
            Ok(Some(member)) => match self.take(member) {
                Ok(ended) => ended,
                Err(reason) => self.end(Some(reason)),
            },
            Ok(None) => self.end(None),
            Err(reason) => self.end(Some(reason)),
        };
        ended.map(Group::finish)
    }

    /// Puts a member into its sample. Gives the previous sample where the member begins another; an
    /// error where the tar broke inside the member.
    fn take(&mut self, member: Member) -> Result<Option<Group>, String> {
        let Some((key, suffix)) = split(&member.name) else { return Ok(None) };
        let part = Part::of(&suffix);
        let begins = self.group.as_ref().is_none_or(|group| group.key != key || group.has(&part, &suffix));
        let previous = if begins { self.group.replace(Group::new(key, &member.name)) } else { None };
        let group = self.group.as_mut().expect("was there or was just made");
        let limit = match part {
            Part::Image => self.limits.image_bytes,
            Part::Text => self.limits.caption_bytes,
            Part::Json => self.limits.json_bytes,
            Part::Other => return Ok(previous),
        };
        if member.size_bytes > limit {
            group.spoil(format!("{suffix} member has {} bytes; the limit is {limit}", member.size_bytes));
            return Ok(previous);
        }
        match self.entries.body() {
            Ok(body) => {
                group.put(&part, suffix, Bytes::from(body), self.limits);
                Ok(previous)
            }
            // The sample before was whole: it goes out first, then this one with the reason.
            Err(reason) if previous.is_some() => {
                self.end(Some(reason));
                Ok(previous)
            }
            Err(reason) => Err(reason),
        }
    }

    /// Nothing more comes. A whole sample goes out before the reason; an unfinished one goes with it.
    fn end(&mut self, reason: Option<String>) -> Option<Group> {
        self.ended = true;
        let last = self.group.take();
        let Some(reason) = reason else { return last };
        let key = last.as_ref().map_or_else(String::new, |group| group.key.clone());
        let whole = last.filter(Group::is_whole);
        let from = if whole.is_some() { "what follows it in the shard" } else { "the shard from here on" };
        self.broken = Some(BadSample { key, reason: format!("{from} cannot be read: {reason}") });
        whole
    }
}

impl<R: Read> Iterator for TarReader<R> {
    type Item = Result<Sample, BadSample>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(sample) = self.advance() {
                return Some(sample);
            }
        }
        self.broken.take().map(Err)
    }
}

#[cfg(test)]
mod tests;
