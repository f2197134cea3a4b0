//! Where the parts of a value were written.

use crate::diagnostic::{At, Place};

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
        let behind = self.0.partition_point(|mark| mark.offset <= offset);
        let mark = match behind.checked_sub(1) {
            Some(last) => self.0[last],
            None => Mark {
                offset: 0,
                place: value.at,
                spelled: true,
            },
        };
        let mut place = mark.place;
        if mark.spelled {
            let before = value.value.get(mark.offset..offset).unwrap_or_default();
            let chars = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
            place.col = place.col.saturating_add(chars);
        }
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

    /// The places of a part of a value, which begins `cut` bytes behind the value's beginning.
    pub fn behind(self, cut: usize, value: &At<String>) -> Places {
        let start = self.of(value, cut);
        let first = self.0.iter().rev().find(|mark| mark.offset <= cut);
        let spelled = first.is_none_or(|mark| mark.spelled);
        let mut places = Places::default();
        places.mark(0, start, spelled);
        let later = self.0.iter().filter(|mark| mark.offset > cut);
        places.0.extend(later.map(|mark| Mark {
            offset: mark.offset - cut,
            ..*mark
        }));
        places
    }
}
