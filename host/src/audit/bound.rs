//! How much a record may hold, so that it always fits where it is kept, by construction and not by luck.
//!
//! Every entry has [`FIXED`] bytes for its fixed fields (names, checks, hashes) and a share for its variable ones: the canonical call, the listed reads and the
//! result. The share is `min(4096, (remaining bytes - 768 x remaining entries) / remaining entries)`, so what early entries leave unused comes to the later
//! ones, and no entry can take the room of another. Whatever does not fit is cut, and digest and length of the whole stand in its place.
//! Bytes are those of canonical JSON, with escapes.

use super::{canonical, chain};

/// Most entries of one record.
pub const ENTRIES: u32 = 128;
/// Most bytes of all entries together.
pub const BYTES: usize = 128 * 1024;
/// Bytes of an entry's fixed fields.
pub const FIXED: usize = 768;
/// Most bytes of an entry's variable fields.
pub const SHARE: usize = 4096;
/// Most listed calls of one tool call.
pub const LISTED_CALLS: usize = 32;
/// Most bytes of one listed call.
pub const LISTED_CALL: usize = 256;
/// Most findings of one run.
pub const FINDINGS: usize = 32;
/// Most bytes of one finding.
pub const FINDING: usize = 1024;
/// Most bytes of a report.
pub const REPORT: usize = 16 * 1024;

/// What is left of the entries' room.
///
/// An entry reserves its share when its intent is written. When it is sealed its share is computed anew, from what others left meanwhile; it never shrinks.
#[derive(Debug)]
pub(crate) struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    /// Room for so many entries, at most [`ENTRIES`].
    pub(crate) fn new(entries: u32) -> Self {
        Self { entries: entries.min(ENTRIES).try_into().unwrap_or(0), bytes: BYTES }
    }

    /// Entries that can still be opened.
    pub(crate) fn entries(&self) -> u32 {
        u32::try_from(self.entries).unwrap_or(0)
    }

    /// Reserves the room of one entry: the bytes that it may take in all. None when there are no entries left.
    pub(crate) fn open(&mut self) -> Option<usize> {
        let size = FIXED + self.share()?;
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        Some(size)
    }

    /// What an open entry may take when it is sealed now: what it reserved, or more.
    pub(crate) fn at_seal(&self, reserved: usize) -> usize {
        let with_it = Self { entries: self.entries + 1, bytes: self.bytes + reserved };
        with_it.share().map_or(reserved, |share| reserved.max(FIXED + share))
    }

    /// The entry is sealed and takes so many bytes.
    pub(crate) fn seal(&mut self, reserved: usize, taken: usize) {
        self.bytes = (self.bytes + reserved).saturating_sub(taken);
    }

    fn share(&self) -> Option<usize> {
        let spare = self.bytes.saturating_sub(FIXED * self.entries);
        spare.checked_div(self.entries).map(|share| share.min(SHARE))
    }
}

/// Room that is enough for digest and length of a text that was cut.
pub(crate) const MARK: usize = 96;

/// The text, or as much of its beginning as fits, then digest and length of all of it. Counts bytes of canonical JSON.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if canonical::escaped_len(text) <= room {
        return text.to_owned();
    }
    let mark = format!("[cut: {} bytes, sha256:{}]", text.len(), chain::sha256(text.as_bytes()));
    let mut kept = 0;
    let mut left = room.saturating_sub(mark.len() + 1);
    for (start, character) in text.char_indices() {
        let end = start + character.len_utf8();
        let size: usize = text.as_bytes()[start..end].iter().copied().map(canonical::escaped_byte).sum();
        if size > left {
            break;
        }
        left -= size;
        kept = end;
    }
    match text.get(..kept) {
        Some(beginning) if !beginning.is_empty() => format!("{beginning} {mark}"),
        Some(_) | None => mark,
    }
}

/// A name in at most `room` bytes; a longer one ends in the first 16 digits of its SHA-256.
pub(crate) fn short(name: &str, room: usize) -> String {
    if canonical::escaped_len(name) <= room {
        return name.to_owned();
    }
    let digest: String = chain::sha256(name.as_bytes()).chars().take(16).collect();
    let mut kept = String::new();
    let mut left = room.saturating_sub(digest.len() + 1);
    for character in name.chars().filter(|character| !character.is_control() && !matches!(character, '"' | '\\')) {
        if character.len_utf8() > left {
            break;
        }
        left -= character.len_utf8();
        kept.push(character);
    }
    format!("{kept}~{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_not_touched() {
        assert_eq!(cut("a\nb", 4), "a\nb");
        assert_eq!(short("web", 3), "web");
    }

    #[test]
    fn a_text_that_does_not_fit_keeps_its_beginning_and_names_the_whole() {
        let text = "\"é\n".repeat(400);
        let cut = cut(&text, 300);
        assert!(canonical::escaped_len(&cut) <= 300, "{}", canonical::escaped_len(&cut));
        assert!(cut.starts_with("\"é\n\"é\n"));
        assert!(cut.ends_with(&format!("[cut: 1600 bytes, sha256:{}]", chain::sha256(text.as_bytes()))));
        assert_ne!(super::cut(&format!("{text}x"), 300), super::cut(&format!("{text}y"), 300));
    }

    #[test]
    fn a_long_name_stays_distinct() {
        let (a, b) = ("a".repeat(300), format!("{}b", "a".repeat(299)));
        assert!(short(&a, 64).len() <= 64);
        assert_ne!(short(&a, 64), short(&b, 64));
    }

    #[test]
    fn full_entries_leave_the_same_share_to_all_and_empty_ones_leave_more() {
        let mut room = Room::new(ENTRIES);
        let mut total = 0;
        for seq in 0..ENTRIES {
            let reserved = room.open().unwrap();
            assert!(reserved >= FIXED + 256, "{seq}: {reserved}");
            let taken = if seq < 64 { reserved } else { FIXED / 2 };
            assert!(room.at_seal(reserved) >= reserved);
            room.seal(reserved, taken);
            total += taken;
        }
        assert!(total <= BYTES);
        assert_eq!(room.open(), None);
    }
}
