//! Decompresses bodies whose compression the gateway itself has asked for.

use std::io::{self, Read as _};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::upstream::fetch::Fault;

/// A body decompressed, up to `max` bytes.
///
/// # Errors
/// If it is larger than `max`, is cut or is not gzip.
pub fn decompressed(bytes: &[u8], max: usize) -> Result<Bytes, Fault> {
    let mut plain = Vec::new();
    let limit = max as u64 + 1;
    let read = MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() > max => Err(Fault::TooLarge),
        Ok(_) => Ok(plain.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::CutGzip),
        Err(_) => Err(Fault::NoGzip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const MAX: usize = 100_000;

    fn compressed(size: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b'x'; size]).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<usize, Fault> {
        decompressed(bytes, MAX).map(|plain| plain.len())
    }

    #[test]
    fn a_compressed_body_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(read(&compressed(70_000)).unwrap(), 70_000);
        assert_eq!(read(&compressed(MAX)).unwrap(), MAX);
        assert!(matches!(read(&compressed(MAX + 1)), Err(Fault::TooLarge)));
    }

    #[test]
    fn a_compressed_body_that_is_none_or_is_cut_is_told_apart() {
        let whole = compressed(1000);
        let cut = read(&whole[..whole.len() - 3]);
        assert!(matches!(cut, Err(Fault::CutGzip)), "{cut:?}");
        let none = read(b"plain text, and enough of it");
        assert!(matches!(none, Err(Fault::NoGzip)), "{none:?}");
    }
}
