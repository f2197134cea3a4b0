//! Where the parts of a value were written.

use fusebox_plan::dialect::{At, Place};

/// Where the parts of a value were written, so that a fault within it can be told where it is.
///
/// A value differs from what is written: entities are decoded, placeholders replaced, line ends made
/// one character.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Places(Vec<Mark>);

/// From which byte of the value on a new count begins.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    offset: usize,
    place: Place,
    /// Whether what follows stands there character by character, on one line; else all of it came
    /// out of what is written at the place.
    spelled: bool,
}

impl Places {
    /// What follows in the value from this byte on is written from this place on, on one line.
    pub fn spelled(&mut self, offset: usize, place: Place) {
        self.mark(offset, place, true);
    }

    /// What follows came out of what is written at this place.
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

    /// Where a byte of the value was written.
    pub fn of(&self, value: &At<String>, offset: usize) -> Place {
        self.after((0, value.at), value, offset)
    }

    /// The same, where it is known where a byte before it was written: so one that goes through a value
    /// counts each character once.
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

    /// Where the character was written that is in this line and column of the value, both from 1.
    pub fn at(&self, value: &At<String>, line: usize, col: usize) -> Place {
        let before: usize = value
            .value
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let rest = &value.value[before..];
        let within = rest
            .char_indices()
            .nth(col.saturating_sub(1))
            .map_or(rest.len(), |(offset, _)| offset);
        self.of(value, before + within)
    }

    /// The places of a part of a value, counted from its beginning, which is at a place.
    pub fn part(&self, at: Place, start: usize, end: usize) -> Places {
        let before = self.0.partition_point(|mark| mark.offset <= start);
        let spelled = before
            .checked_sub(1)
            .is_none_or(|last| self.0[last].spelled);
        let mut part = Places::default();
        part.mark(0, at, spelled);
        let within = self.0[before..]
            .iter()
            .take_while(|mark| mark.offset < end)
            .map(|mark| Mark {
                offset: mark.offset - start,
                ..*mark
            });
        part.0.extend(within);
        part
    }

    /// What follows from this byte on has these places.
    pub fn extend(&mut self, offset: usize, part: Places) {
        self.0.extend(part.0.into_iter().map(|mark| Mark {
            offset: mark.offset + offset,
            ..mark
        }));
    }
}
