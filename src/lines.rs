//! Bytes to lines: where a line begins and ends, and where bytes may be cut.
//!
//! A line ends in LF; the last one of a log object may lack it. Nothing here looks inside a line.

/// One line and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Byte offset of the line in the bytes it was split from.
    pub offset: usize,
    /// The bytes without the LF; a CR stays.
    pub text: &'a [u8],
    /// Whether an LF ends it.
    pub has_lf: bool,
}

impl Line<'_> {
    /// Length with the LF, in bytes.
    pub fn len_with_lf(&self) -> usize {
        self.text.len() + usize::from(self.has_lf)
    }
}

/// The lines of `bytes`, in order. `a LF b` are two lines, `a LF` is one, and nothing is none.
pub fn split_lines(bytes: &[u8]) -> Lines<'_> {
    Lines { bytes, newlines: memchr::memchr_iter(b'\n', bytes), start: 0 }
}

/// Iterator of [`split_lines`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    newlines: memchr::Memchr<'a>,
    start: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        let offset = self.start;
        match self.newlines.next() {
            Some(end) => {
                self.start = end + 1;
                Some(Line { offset, text: &self.bytes[offset..end], has_lf: true })
            }
            None if offset < self.bytes.len() => {
                self.start = self.bytes.len();
                Some(Line { offset, text: &self.bytes[offset..], has_lf: false })
            }
            None => None,
        }
    }
}

/// How many leading bytes of `bytes` are whole lines: one more than the place of the last LF, or 0.
pub fn whole_lines(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<(usize, &[u8], bool)> {
        split_lines(bytes).map(|l| (l.offset, l.text, l.has_lf)).collect()
    }

    #[test]
    fn lines_and_their_places() {
        assert_eq!(texts(b""), vec![]);
        assert_eq!(texts(b"\n"), vec![(0, &b""[..], true)]);
        assert_eq!(texts(b"a\r\n\nb"), vec![(0, &b"a\r"[..], true), (3, b"", true), (4, b"b", false)]);
    }

    #[test]
    fn whole_lines_is_the_cut() {
        assert_eq!(whole_lines(b"ab"), 0);
        assert_eq!(whole_lines(b"ab\ncd"), 3);
        assert_eq!(whole_lines(b"ab\n"), 3);
    }
}
