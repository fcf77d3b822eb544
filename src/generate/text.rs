//! Bytes into a buffer: numbers, random words, and the two styles of percent-encoding that S3 logs.
//!
//! Nothing here allocates on the hot path, and nothing here knows of records.

use super::rng::Rng;

/// Digits of a lower-case hexadecimal number.
pub(super) const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";
/// Digits of an upper-case hexadecimal number.
pub(super) const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
/// The letters of a request id since about 2020.
pub(super) const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The letters of a host id.
pub(super) const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The letters of version ids and upload ids.
pub(super) const VERSION: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// Appends `n` in decimal.
#[inline]
pub(super) fn put_decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `count` random letters of `alphabet`, whose length is a power of two.
#[inline]
pub(super) fn put_random<const N: usize>(out: &mut Vec<u8>, rng: &mut Rng, alphabet: &[u8; N], count: usize) {
    const { assert!(N.is_power_of_two()) };
    let bits = N.trailing_zeros();
    let (mut word, mut left) = (0, 0);
    for _ in 0..count {
        if left < bits {
            (word, left) = (rng.next(), u64::BITS);
        }
        out.push(alphabet[word as usize & (N - 1)]);
        word >>= bits;
        left -= bits;
    }
}

/// Appends a random UUID, in lower case with hyphens.
pub(super) fn put_uuid(out: &mut Vec<u8>, rng: &mut Rng) {
    for (i, count) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            out.push(b'-');
        }
        put_random(out, rng, HEX_LOWER, count);
    }
}

/// A piece of an object key in each spelling a log can show.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoded {
    /// As a client sends it in the path: percent-encoded once.
    pub(super) path: Vec<u8>,
    /// As a client sends it in a query parameter: the slash encoded too.
    pub(super) query: Vec<u8>,
    /// As S3 logs it in the key of REST and WEBSITE records: percent-encoded twice.
    pub(super) twice: Vec<u8>,
    /// As S3 logs it in the key of BATCH and S3 records: once, form style, a blank as `+`.
    pub(super) once: Vec<u8>,
}

impl Encoded {
    /// The spellings of `text`.
    pub(super) fn new(text: &str) -> Self {
        let mut once = escape(text, b"-._*/ ");
        for byte in &mut once {
            if *byte == b' ' {
                *byte = b'+';
            }
        }
        let mut twice = Vec::new();
        for byte in escape(text, b"-._*/") {
            twice.push(byte);
            if byte == b'%' {
                twice.extend_from_slice(b"25");
            }
        }
        Self { path: escape(text, b"-._~/"), query: escape(text, b"-._~"), twice, once }
    }
}

/// Percent-encodes what is neither a letter, nor a digit, nor in `keep`.
fn escape(text: &str, keep: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX_UPPER[high], HEX_UPPER[low]]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for n in [0, 7, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
    }

    #[test]
    fn spellings_of_a_key() {
        let e = Encoded::new("dt=1/a b+ü%(*");
        assert_eq!(e.path, b"dt%3D1/a%20b%2B%C3%BC%25%28%2A");
        assert_eq!(e.query, b"dt%3D1%2Fa%20b%2B%C3%BC%25%28%2A");
        assert_eq!(e.twice, b"dt%253D1/a%2520b%252B%25C3%25BC%2525%2528*");
        assert_eq!(e.once, b"dt%3D1/a+b%2B%C3%BC%25%28*");
    }
}
