//! The entries that the disk may hold: their sizes, and which was used least recently.
//!
//! An entry is listed before it is written and until its removal is certain, so the disk never holds one that a purge
//! would overlook.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::upstream::last_good::key::{Digest, Spot};

/// An entry on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The bytes counted for it.
    pub bytes: u64,
    /// The arrival of the answer that is stored, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The digest of its path; `None`: it could not be read yet, and may be of any path.
    pub path: Option<Digest>,
    /// The digest of its content; `None`: the disk may hold another version, or a part of one.
    pub content: Option<Digest>,
}

/// The list of entries on disk.
#[derive(Debug, Default)]
pub struct Index {
    places: BTreeMap<Spot, (Place, Use)>,
    uses: BTreeMap<Use, Spot>,
    bytes: u64,
    next: u64,
    /// True once all entries of an earlier process are listed.
    pub is_complete: bool,
}

/// A use of an entry: its time in milliseconds since the Unix epoch, and its number.
type Use = (u64, u64);

impl Index {
    /// Lists an entry, which counts as used at its arrival.
    pub fn insert(&mut self, spot: Spot, place: Place) {
        self.remove(&spot);
        self.next += 1;
        let used = (place.at, self.next);
        self.bytes += place.bytes;
        self.uses.insert(used, spot);
        self.places.insert(spot, (place, used));
    }

    /// Strikes an entry off the list.
    pub fn remove(&mut self, spot: &Spot) {
        if let Some((place, used)) = self.places.remove(spot) {
            self.bytes -= place.bytes;
            self.uses.remove(&used);
        }
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.places.clear();
        self.uses.clear();
        self.bytes = 0;
    }

    /// Notes a use of an entry.
    pub fn touch(&mut self, spot: &Spot, now: u64) {
        if let Some((_, used)) = self.places.get_mut(spot) {
            self.uses.remove(used);
            self.next += 1;
            *used = (now.max(used.0), self.next);
            self.uses.insert(*used, *spot);
        }
    }

    /// The listed facts about an entry.
    pub fn get(&self, spot: &Spot) -> Option<Place> {
        self.places.get(spot).map(|(place, _)| *place)
    }

    /// The entries of a range of keys.
    pub fn range(&self, spots: RangeInclusive<Spot>) -> Vec<Spot> {
        self.places.range(spots).map(|(spot, _)| *spot).collect()
    }

    /// The entries that are of a path, or may be.
    pub fn of_path(&self, path: Digest) -> Vec<Spot> {
        let places = self.places.iter();
        let of_path = places.filter(|(_, (place, _))| place.path.is_none_or(|it| it == path));
        of_path.map(|(spot, _)| *spot).collect()
    }

    /// The entries that must give way, those used least recently first: as many as are over the bounds, and those of
    /// answers that arrived before `expired`. Entries for which `stays` is true do not.
    pub fn excess(
        &self,
        bytes_max: u64,
        len_max: usize,
        expired: u64,
        stays: impl Fn(&Spot) -> bool,
    ) -> Vec<Spot> {
        let (mut bytes, mut len) = (self.bytes, self.places.len());
        let mut excess = Vec::new();
        for spot in self.uses.values() {
            let Some((place, _)) = self.places.get(spot) else {
                continue;
            };
            let is_full = bytes > bytes_max || len > len_max;
            if !is_full && place.at >= expired {
                break;
            }
            if !stays(spot) {
                bytes -= place.bytes;
                len -= 1;
                excess.push(*spot);
            }
        }
        excess
    }

    /// Number of entries listed.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes counted for all entries.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::last_good::key::Key;

    fn spot(uri: u8, private: u8) -> Spot {
        Spot {
            key: Key {
                uri: [uri; 16],
                private: [private; 16],
            },
            variant: [0; 16],
        }
    }

    fn place(at: u64) -> Place {
        Place {
            bytes: 10,
            at,
            path: None,
            content: None,
        }
    }

    #[test]
    fn entries_used_least_recently_and_expired_ones_give_way() {
        let mut index = Index::default();
        for uri in 1..=3 {
            index.insert(spot(uri, 0), place(uri.into()));
        }
        assert_eq!((index.len(), index.bytes()), (3, 30));
        index.touch(&spot(1, 0), 9);
        let (second, third) = (spot(2, 0), spot(3, 0));
        let excess = |bytes, len, expired| index.excess(bytes, len, expired, |_| false);
        assert_eq!(excess(30, 3, 0), []);
        assert_eq!(excess(29, 3, 0), [second]);
        assert_eq!(excess(30, 1, 0), [second, third]);
        assert_eq!(excess(30, 3, 3), [second]);
        assert_eq!(
            index.excess(10, 3, 0, |it| *it == second),
            [third, spot(1, 0)]
        );
        index.remove(&second);
        index.remove(&third);
        index.insert(spot(1, 0), place(4));
        assert_eq!((index.len(), index.bytes()), (1, 10));
    }

    #[test]
    fn a_uri_has_its_entries_in_one_range() {
        let mut index = Index::default();
        for (uri, private) in [(1, 9), (2, 0), (2, 255), (3, 0)] {
            index.insert(spot(uri, private), place(1));
        }
        let of_uri = index.range(Key::spots_of([2; 16]));
        assert_eq!(of_uri, [spot(2, 0), spot(2, 255)]);
        assert_eq!(index.range(spot(2, 255).key.spots()), [spot(2, 255)]);
    }
}
