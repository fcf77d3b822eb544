//! Bytes to values and back: integers, times, object keys.
//!
//! Pure functions on bytes; nothing here allocates except for a decoded key. Sources: AWS's format page for the
//! time; the two encodings of the key were measured on real records (REST rows are percent-encoded twice, BATCH
//! and lifecycle rows once, form style).

use std::borrow::Cow;

use super::bytes::{STEP, find, matches};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Length of `[dd/Mon/yyyy:HH:MM:SS +0000]`.
pub const TIME_LEN: usize = 28;

/// 0000-01-01 and 10000-01-01 in seconds since the epoch.
const YEAR_0: i64 = -62_167_219_200;
const YEAR_10000: i64 = 253_402_300_800;

/// A time as it is written: seconds since the epoch (UTC), and whether its offset is `+0000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedTime {
    /// Seconds since the epoch, UTC.
    pub seconds: i64,
    /// Whether the offset is written `+0000`.
    pub is_utc: bool,
}

/// Reads `[dd/Mon/yyyy:HH:MM:SS +0000]`, brackets included; `None` when it is anything else or no real date.
#[inline]
pub fn time(text: &[u8]) -> Option<LoggedTime> {
    let t: &[u8; TIME_LEN] = text.try_into().ok()?;
    let punctuation = t[0] == b'[' && t[3] == b'/' && t[7] == b'/' && t[21] == b' ' && t[27] == b']';
    if !punctuation {
        return None;
    }
    let digit = |at: usize| t[at].wrapping_sub(b'0');
    // All at once: nearly always all are.
    let are_digits = [1, 2, 8, 9, 10, 11].iter().fold(true, |all, at| all & (digit(*at) < 10));
    if !are_digits {
        return None;
    }
    let two = |at: usize| i64::from(digit(at)) * 10 + i64::from(digit(at + 1));
    let month = month_number([t[4], t[5], t[6]])?;
    let (day, year) = (two(1), two(8) * 100 + two(10));
    let (hour, minute, second) = time_of_day(t)?;
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    if t[22..27] == *b"+0000" {
        return Some(LoggedTime { seconds: local, is_utc: true });
    }
    if (23..27).any(|at| digit(at) > 9) {
        return None;
    }
    let offset = two(23) * 3_600 + two(25) * 60;
    let seconds = match t[22] {
        b'+' => local - offset,
        b'-' => local + offset,
        _ => return None,
    };
    // The four digits of the year must still do in UTC.
    let in_range = (YEAR_0..YEAR_10000).contains(&seconds);
    (two(23) < 24 && two(25) < 60 && in_range).then_some(LoggedTime { seconds, is_utc: false })
}

/// The day of the time read last: the next one is mostly of the same day.
#[derive(Debug, Clone)]
pub struct Day {
    /// `[dd/Mon/yyyy`.
    text: [u8; 12],
    /// Seconds since the epoch.
    start: i64,
}

impl Default for Day {
    fn default() -> Self {
        Self { text: *b"[01/Jan/1970", start: 0 }
    }
}

impl Day {
    /// As [`time`].
    #[inline]
    pub fn time(&mut self, text: &[u8]) -> Option<LoggedTime> {
        let t: &[u8; TIME_LEN] = text.try_into().ok()?;
        if t[..12] == self.text && t[21..] == *b" +0000]" {
            let (hour, minute, second) = time_of_day(t)?;
            let seconds = self.start + hour * 3_600 + minute * 60 + second;
            return Some(LoggedTime { seconds, is_utc: true });
        }
        let time = time(t)?;
        if time.is_utc {
            self.text.copy_from_slice(&t[..12]);
            self.start = time.seconds.div_euclid(86_400) * 86_400;
        }
        Some(time)
    }
}

/// Hour, minute and second of a time as it is written.
#[inline]
fn time_of_day(t: &[u8; TIME_LEN]) -> Option<(i64, i64, i64)> {
    let digit = |at: usize| t[at].wrapping_sub(b'0');
    let are_digits = [13, 14, 16, 17, 19, 20].iter().fold(true, |all, at| all & (digit(*at) < 10));
    let two = |at: usize| i64::from(digit(at)) * 10 + i64::from(digit(at + 1));
    let (hour, minute, second) = (two(13), two(16), two(19));
    let is_real = are_digits & (t[12] == b':') & (t[15] == b':') & (t[18] == b':');
    (is_real & (hour < 24) & (minute < 60) & (second < 60)).then_some((hour, minute, second))
}

#[inline]
fn month_number(name: [u8; 3]) -> Option<i64> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

#[inline]
fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (month 1 to 12, day from 1).
#[inline]
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`]: (year, month, day).
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends the logged form of `seconds` with the offset `+0000`; a dash for `None`.
pub fn write_time(seconds: Option<i64>, out: &mut Vec<u8>) {
    let Some(seconds) = seconds else {
        out.push(b'-');
        return;
    };
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let two = |out: &mut Vec<u8>, v: i64| out.extend([b'0' + (v / 10) as u8, b'0' + (v % 10) as u8]);
    out.push(b'[');
    two(out, day);
    out.push(b'/');
    out.extend_from_slice(MONTHS[(month - 1) as usize]);
    out.push(b'/');
    two(out, year / 100);
    two(out, year % 100);
    for v in [rest / 3_600, rest / 60 % 60, rest % 60] {
        out.push(b':');
        two(out, v);
    }
    out.extend_from_slice(b" +0000]");
}

/// A non-negative decimal integer that fits 63 bits; `None` for anything else.
#[inline]
pub fn integer(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // At most 19 digits: no overflow of 64 bits.
        value = value * 10 + u64::from(digit);
    }
    i64::try_from(value).ok()
}

/// The object key that `logged` stands for, by the rule of its operation.
///
/// BATCH and S3 (lifecycle) rows are percent-encoded once, with `+` for a blank; all others are percent-encoded
/// twice. Escapes that are not two hex digits stay as they are. The result need not be UTF-8.
pub fn decode_key<'a>(operation: &[u8], logged: &'a [u8]) -> Cow<'a, [u8]> {
    let mut out = Vec::new();
    match decode_key_into(operation, logged, &mut out) {
        Decoded::Same => Cow::Borrowed(logged),
        Decoded::Ascii | Decoded::Bytes => Cow::Owned(out),
    }
}

/// What decoding makes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// Nothing else.
    Same,
    /// A key in which ASCII stands for each escape: UTF-8 when the logged one is.
    Ascii,
    /// A key of any bytes.
    Bytes,
}

/// Appends the decoded key to `out`; leaves `out` alone when it is the [same](Decoded::Same).
#[inline]
pub fn decode_key_into(operation: &[u8], logged: &[u8], out: &mut Vec<u8>) -> Decoded {
    let form_style = operation.starts_with(b"BATCH.") || operation.starts_with(b"S3.");
    let Some(first) = find(b'%', logged).or_else(|| form_style.then(|| find(b'+', logged)).flatten()) else {
        return Decoded::Same;
    };
    let start = out.len();
    if !form_style {
        if let Some(decoded) = decode_usual(logged, first, out) {
            return decoded;
        }
        out.truncate(start);
    }
    decode_into(logged, form_style, out);
    if !form_style {
        // In place: decoding never grows, and the write position never passes the read position.
        let mut write = start;
        let mut read = start;
        while read < out.len() {
            let (byte, used) = escape(&out[read..]).unwrap_or((out[read], 1));
            out[write] = byte;
            write += 1;
            read += used;
        }
        out.truncate(write);
    }
    if out[start..] == *logged {
        out.truncate(start);
        return Decoded::Same;
    }
    Decoded::Bytes
}

/// Decodes twice in one pass when each `%` begins an escape that stands for itself (`%3D`) or an escape of an escape
/// (`%253D`), which is how S3 writes keys. The first is at `first`. `None` for anything else; what was appended is then
/// of no use.
fn decode_usual(logged: &[u8], first: usize, out: &mut Vec<u8>) -> Option<Decoded> {
    out.extend_from_slice(&logged[..first]);
    // Blocks are copied whole, and what comes next is written over what was too much.
    let (mut from, mut to) = (first, out.len());
    out.resize(to + logged.len() - first + STEP, 0);
    let mut bits = 0;
    while from < logged.len() {
        let rest = &logged[from..];
        let (block, len) = match rest.first_chunk::<STEP>() {
            Some(block) => (*block, STEP),
            None => {
                let mut block = [0; STEP];
                block[..rest.len()].copy_from_slice(rest);
                (block, rest.len())
            }
        };
        out[to..to + STEP].copy_from_slice(&block);
        let found = matches(b'%', &block);
        if found == 0 {
            (from, to) = (from + len, to + len);
            continue;
        }
        let at = found.trailing_zeros() as usize;
        (from, to) = (from + at, to + at);
        let (mut byte, used) = escape(&logged[from..])?;
        from += used;
        if byte == b'%' {
            let [high, low, ..] = logged[from..] else { return None };
            byte = hex(high)? << 4 | hex(low)?;
            from += 2;
        }
        out[to] = byte;
        to += 1;
        bits |= byte;
    }
    out.truncate(to);
    Some(if bits.is_ascii() { Decoded::Ascii } else { Decoded::Bytes })
}

/// Percent-decodes once; with `plus_is_blank` in form style. Escapes that are not two hex digits stay.
pub fn percent_decode(text: &[u8], plus_is_blank: bool) -> Cow<'_, [u8]> {
    if !text.iter().any(|&b| b == b'%' || (plus_is_blank && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    decode_into(text, plus_is_blank, &mut out);
    Cow::Owned(out)
}

fn decode_into(text: &[u8], plus_is_blank: bool, out: &mut Vec<u8>) {
    let mut i = 0;
    while i < text.len() {
        if let Some((byte, used)) = escape(&text[i..]) {
            out.push(byte);
            i += used;
        } else {
            out.push(if plus_is_blank && text[i] == b'+' { b' ' } else { text[i] });
            i += 1;
        }
    }
}

/// The byte that a leading `%XX` stands for, and its length 3.
#[inline]
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    Some((hex(*high)? << 4 | hex(*low)?, 3))
}

/// The value of a hex digit.
#[inline]
fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        time(text.as_bytes()).map(|t| t.seconds)
    }

    #[test]
    fn time_reads_and_writes_back() {
        for text in
            ["[06/Feb/2019:00:00:38 +0000]", "[29/Feb/2024:23:59:59 +0000]", "[01/Jan/1970:00:00:00 +0000]"]
        {
            let mut out = Vec::new();
            write_time(seconds(text), &mut out);
            assert_eq!(out, text.as_bytes());
        }
        assert_eq!(seconds("[06/Feb/2019:00:00:38 +0000]"), Some(1_549_411_238));
    }

    #[test]
    fn time_with_an_offset_becomes_utc() {
        let t = time(b"[10/Feb/2012:16:42:07 -0500]").unwrap();
        assert_eq!(t, LoggedTime { seconds: 1_328_910_127, is_utc: false });
        assert_eq!(seconds("[10/Feb/2012:16:42:07 +0200]"), Some(1_328_884_927));
    }

    #[test]
    fn time_that_is_no_time() {
        for text in [
            "[30/Feb/2019:00:00:38 +0000]",
            "[00/Feb/2019:00:00:38 +0000]",
            "[06/feb/2019:00:00:38 +0000]",
            "[06/Feb/2019:24:00:38 +0000]",
            "[06/Feb/2019:00:00:38 0000] ",
            "[06/Feb/2019:00:00:38 +9900]",
            "[6/Feb/2019:00:00:38 +0000]",
            "-",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn civil_days_are_inverse() {
        for days in (-800_000..800_000).step_by(13) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn integers() {
        assert_eq!(integer(b"0"), Some(0));
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        for bad in ["", "-", "-1", "+1", "1a", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_decoded_by_operation() {
        let key = |op: &str, logged: &str| {
            String::from_utf8(decode_key(op.as_bytes(), logged.as_bytes()).into_owned()).unwrap()
        };
        assert_eq!(key("REST.GET.OBJECT", "date_%253D2021-03-14/x"), "date_=2021-03-14/x");
        assert_eq!(key("REST.GET.OBJECT", "a+b"), "a+b");
        assert_eq!(key("REST.GET.OBJECT", "%2522"), "\"");
        assert_eq!(key("REST.GET.OBJECT", "foo-%2525Y"), "foo-%Y");
        assert_eq!(key("BATCH.DELETE.OBJECT", "foo-%2525Y"), "foo-%25Y");
        assert_eq!(key("BATCH.DELETE.OBJECT", "Screen+Shot+at+9.08%2BAM.png"), "Screen Shot at 9.08+AM.png");
        assert_eq!(key("S3.EXPIRE.OBJECT", "a%20b"), "a b");
        assert_eq!(key("REST.GET.OBJECT", "100%"), "100%");
        assert_eq!(key("REST.GET.OBJECT", "100%zz"), "100%zz");
        assert!(matches!(decode_key(b"REST.GET.OBJECT", b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_usual_way_of_decoding_gives_what_decoding_twice_gives() {
        let pieces = [
            "%253D",
            "%3D",
            "%25C3%25A9",
            "a",
            "/",
            "sixteen bytes or",
            "+",
            "\u{e9}",
            "%2525",
            "%zz",
            "%25zz",
        ];
        let (mut state, mut usual) = (1u64, 0);
        for _ in 0..3_000 {
            let mut logged = String::new();
            for _ in 0..state % 9 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Those that are not usual come last, and seldom.
                let seldom = (state >> 60) < 15;
                logged += pieces[(state >> 33) as usize % (pieces.len() - 2 * usize::from(seldom))];
            }
            state = state.wrapping_add(1);
            let logged = logged.as_bytes();
            let Some(first) = find(b'%', logged) else { continue };
            let (mut once, mut twice, mut out) = (Vec::new(), b"before".to_vec(), b"before".to_vec());
            let Some(decoded) = decode_usual(logged, first, &mut out) else { continue };
            usual += 1;
            decode_into(logged, false, &mut once);
            decode_into(&once, false, &mut twice);
            assert_eq!(out, twice, "{}", logged.escape_ascii());
            assert!(decoded == Decoded::Bytes || std::str::from_utf8(&out).is_ok());
        }
        assert!(usual > 1_000, "{usual}");
    }

    #[test]
    fn a_day_that_is_known_gives_the_same_times() {
        let mut day = Day::default();
        let texts = [
            "[06/Feb/2026:00:00:00 +0000]",
            "[06/Feb/2026:23:59:59 +0000]",
            "[06/Feb/2026:24:00:00 +0000]",
            "[06/Feb/2026:12:60:00 +0000]",
            "[06/Feb/2026 12:00:00 +0000]",
            "[06/Feb/2026:1a:00:00 +0000]",
            "[06/Feb/2026:12:00:00 +0100]",
            "[06/Feb/2026:12:00:00 +0000)",
            "[07/Feb/2026:12:00:00 +0000]",
            "[30/Feb/2026:12:00:00 +0000]",
            "[31/Dec/1969:12:00:00 +0000]",
            "[31/Dec/1969:23:59:59 +0000]",
            "[01/Jan/1970:00:00:01 +0000]",
            "[01/Jan/1970:00:00:01 +0000",
        ];
        for text in texts.iter().chain(texts.iter().rev()) {
            assert_eq!(day.time(text.as_bytes()), time(text.as_bytes()), "{text}");
        }
    }
}
