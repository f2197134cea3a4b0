//! The places where the parts of a value were written.

use fusebox_plan::dialect::{At, Place};

/// The places where the parts of a value were written, to report errors inside it.
///
/// A value differs from its source: entities are decoded, placeholders filled in, line ends reduced to one
/// character.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Places(Vec<Mark>);

/// A byte of the value from which places are counted anew.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    offset: usize,
    place: Place,
    /// True if the text that follows is in the source character by character, on one line; false if all of it
    /// results from the source at the place.
    spelled: bool,
}

impl Places {
    /// Marks that from this byte on the value is in the source unchanged, on one line, from this place on.
    pub fn spelled(&mut self, offset: usize, place: Place) {
        self.mark(offset, place, true);
    }

    /// Marks that from this byte on the value results from the source at this place.
    pub fn made(&mut self, offset: usize, place: Place) {
        self.mark(offset, place, false);
    }

    fn mark(&mut self, offset: usize, place: Place, spelled: bool) {
        self.0.push(Mark {
            offset,
            place,
            spelled,
        });
    }

    /// The place where a byte of the value was written.
    pub fn of(&self, value: &At<String>, offset: usize) -> Place {
        self.after((0, value.at), value, offset)
    }

    /// The place where a byte was written, given the place of an earlier byte: a pass over the value thus counts each
    /// character once.
    pub fn after(&self, known: (usize, Place), value: &At<String>, offset: usize) -> Place {
        let before = self.0.partition_point(|mark| mark.offset <= offset);
        let last = before.checked_sub(1).map(|last| self.0[last]);
        let (from, mut place) = match last {
            Some(mark) if !mark.spelled => return mark.place,
            Some(mark) if mark.offset >= known.0 => (mark.offset, mark.place),
            _ => known,
        };
        let between = value.value.get(from..offset).unwrap_or_default();
        let chars = u32::try_from(between.chars().count()).unwrap_or(u32::MAX);
        place.col = place.col.saturating_add(chars);
        place
    }

    /// The place where a character was written, from its line and column in the value, both from 1.
    pub fn at(&self, value: &At<String>, line: usize, col: usize) -> Place {
        let lines = value.value.split_inclusive('\n');
        let before: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
        let rest = &value.value[before..];
        let char = rest.char_indices().nth(col.saturating_sub(1));
        self.of(
            value,
            before + char.map_or(rest.len(), |(offset, _)| offset),
        )
    }

    /// The places of a part of the value. `at` is the place where the part begins.
    pub fn part(&self, at: Place, start: usize, end: usize) -> Places {
        let before = self.0.partition_point(|mark| mark.offset <= start);
        let spelled = before == 0 || self.0[before - 1].spelled;
        let mut part = Places::default();
        part.mark(0, at, spelled);
        let within = self.0[before..].iter();
        let within = within.take_while(|mark| mark.offset < end);
        part.0.extend(within.map(|mark| Mark {
            offset: mark.offset - start,
            ..*mark
        }));
        part
    }

    /// Appends places for the part of the value that begins at this byte.
    pub fn extend(&mut self, offset: usize, part: Places) {
        self.0.extend(part.0.into_iter().map(|mark| Mark {
            offset: mark.offset + offset,
            ..mark
        }));
    }
}
