//! Text that is safe to show, and numbers that are easy to read.
//!
//! Log records are written by strangers: a request-URI can carry terminal escapes, a user agent a spreadsheet
//! formula, a Referer a link. This module turns such text into something a terminal, a spreadsheet and a
//! Markdown page show as what it is. It knows characters only: no Arrow, no files, no formats.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{is_format, is_hidden};

/// Escapes what a terminal would obey instead of show: control characters (Unicode Cc), format characters (Cf:
/// bidirectional overrides, zero-width characters and the like) and the two Unicode line separators.
///
/// Newline, carriage return and tab become `\n`, `\r`, `\t`, other ASCII `\x1b`, the rest `\u{202e}`. A
/// backslash is left alone, so that user agents and Windows paths stay readable; the result is for eyes and cannot
/// be turned back.
pub fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_hidden) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        if is_hidden(c) {
            push_escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Escapes text for a cell of a GitHub-flavoured Markdown table, so that it is rendered as the text it is.
///
/// Hidden characters are escaped as by [`escape_for_terminal`]; then table bars, HTML, code spans, emphasis,
/// mathematics, links and automatic links lose their meaning. What a site does with the finished page, such as
/// notifying `@names`, cannot be prevented here.
pub fn escape_for_markdown(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    // Everything before `plain` is in `out`; from there on the text needed no change yet.
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let replacement = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\\' => r"\\",
            '|' => r"\|",
            '`' => r"\`",
            '[' => r"\[",
            ']' => r"\]",
            '*' => r"\*",
            '~' => r"\~",
            '$' => "&#36;",
            '_' if !is_inside_word(text, at) => r"\_",
            ':' if text[at..].starts_with("://") => "&#58;",
            '.' if at >= 3 && bytes[at - 3..at].eq_ignore_ascii_case(b"www") => "&#46;",
            c if is_hidden(c) => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if replacement.is_empty() {
            push_escape(&mut out, c);
        } else {
            out.push_str(replacement);
        }
        plain = at + c.len_utf8();
    }
    if plain == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[plain..]);
    Cow::Owned(out)
}

/// Puts an apostrophe before a cell that a spreadsheet would run as a formula: one that starts with `=`, `+`, `-`,
/// `@` (or their full-width forms), tab, carriage return or newline, also after leading blanks or quotes.
///
/// Nothing else is changed. The apostrophe is part of the cell for every other reader of the file.
pub fn neutralise_csv(cell: &str) -> Cow<'_, str> {
    let is_line_or_tab = |c: char| matches!(c, '\t' | '\r' | '\n');
    let is_ignored =
        |c: char| matches!(c, '"' | '\'') || is_format(c) || (c.is_whitespace() && !is_line_or_tab(c));
    let runs = cell
        .trim_start_matches(is_ignored)
        .starts_with(|c: char| is_line_or_tab(c) || "=+-@＝＋－＠".contains(c));
    if runs { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Appends `text` as a JSON string with its quotes.
///
/// Besides what JSON demands, every character that [`escape_for_terminal`] would escape is written as `\uXXXX`:
/// the value is the same, and the file is harmless when shown on a terminal.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        if !matches!(c, '"' | '\\') && !is_hidden(c) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + c.len_utf8();
        match c {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]).iter() {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// A number of bytes in decimal units with one digit after the point: `999 B`, `1.2 GB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be rounded up to "1000.0".
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with a comma between groups of three digits: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `n` with its noun, as [`count`] writes it: `1 row`, `12,345 rows`. The plural is the noun with an `s`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

/// Bytes per second: `412.0 MB/s`; a dash when no time passed.
pub fn rate(bytes_done: u64, elapsed: Duration) -> String {
    match per_second(bytes_done, elapsed) {
        Some(n) => format!("{}/s", bytes(n)),
        None => "-".to_owned(),
    }
}

/// Things per second: `12,345/s`; a dash when no time passed.
pub fn count_rate(done: u64, elapsed: Duration) -> String {
    match per_second(done, elapsed) {
        Some(n) => format!("{}/s", count(n)),
        None => "-".to_owned(),
    }
}

/// A span of time: `0.42 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`.
pub fn seconds(elapsed: Duration) -> String {
    let exact = elapsed.as_secs_f64();
    // The bounds are where rounding would reach the next form.
    if exact < 9.995 {
        return format!("{exact:.2} s");
    }
    if exact < 59.95 {
        return format!("{exact:.1} s");
    }
    let whole = exact.round() as u64;
    if whole < 3600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    let minutes = (whole + 30) / 60;
    format!("{} h {:02} min", minutes / 60, minutes % 60)
}

fn per_second(done: u64, elapsed: Duration) -> Option<u64> {
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| (done as f64 / seconds).round() as u64)
}

/// Whether the underscore at `at` stands between two letters or digits, where Markdown gives it no meaning.
fn is_inside_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + 1..].chars().next();
    before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
}

fn push_escape(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str(r"\n"),
        '\r' => out.push_str(r"\r"),
        '\t' => out.push_str(r"\t"),
        c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c => out.extend(c.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_borrowed() {
        for text in ["", r"C:\temp\n", "кириллица", "日本語 ✓", "a\u{301}"] {
            assert!(matches!(escape_for_terminal(text), Cow::Borrowed(t) if t == text));
        }
        assert!(matches!(escape_for_markdown("REST.PUT.LOGGING_STATUS"), Cow::Borrowed(_)));
        assert!(matches!(neutralise_csv("a=1"), Cow::Borrowed(_)));
    }

    #[test]
    fn hidden_characters_are_shown() {
        let shown = |text| escape_for_terminal(text).into_owned();
        assert_eq!(shown("a\u{1b}[31mred\u{7}"), r"a\x1b[31mred\x07");
        assert_eq!(shown("one\ntwo\tthree\r\0"), r"one\ntwo\tthree\r\x00");
        assert_eq!(shown("\u{7f}\u{9b}31m"), r"\x7f\u{9b}31m");
        assert_eq!(shown("invoice\u{202e}fdp.exe"), r"invoice\u{202e}fdp.exe");
        assert_eq!(shown("zero\u{200b}width\u{feff}"), r"zero\u{200b}width\u{feff}");
        assert_eq!(shown("tag\u{e0041}line\u{2028}"), r"tag\u{e0041}line\u{2028}");
    }

    #[test]
    fn markdown_has_no_meaning_left() {
        let shown = |text| escape_for_markdown(text).into_owned();
        assert_eq!(shown("a|b"), r"a\|b");
        assert_eq!(shown(r"\|"), r"\\\|");
        assert_eq!(shown("<img src=x>&amp;"), "&lt;img src=x&gt;&amp;amp;");
        assert_eq!(shown("`x`"), r"\`x\`");
        assert_eq!(shown("![a](https://e.example)"), r"!\[a\](https&#58;//e.example)");
        assert_eq!(shown("WWW.e.example"), "WWW&#46;e.example");
        assert_eq!(shown("_a_ a_b __"), r"\_a\_ a_b \_\_");
        assert_eq!(shown("**b** ~~s~~ $m$"), r"\*\*b\*\* \~\~s\~\~ &#36;m&#36;");
        assert_eq!(shown("l1\nl2\u{1b}c"), r"l1\nl2\x1bc");
    }

    #[test]
    fn formulas_get_an_apostrophe() {
        for cell in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "  =1",
            "\"=1",
            "' \"-1",
            "\u{a0}=1",
            "\u{200b}=1",
            "＝1",
        ] {
            assert_eq!(neutralise_csv(cell), format!("'{cell}"), "{cell:?}");
        }
        for cell in ["", " ", "a=1", "1-2", "2026-03-01", "'quoted'", "/-/"] {
            assert_eq!(neutralise_csv(cell), cell, "{cell:?}");
        }
    }

    #[test]
    fn json_strings_are_ascii_where_it_matters() {
        let json = |text| {
            let mut out = Vec::new();
            push_json_string(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(json("plain é"), "\"plain é\"");
        assert_eq!(json("q\" b\\ /"), r#""q\" b\\ /""#);
        assert_eq!(json("\n\r\t\0\u{1b}"), r#""\n\r\t\u0000\u001b""#);
        assert_eq!(json("\u{7f}\u{9b}\u{202e}"), r#""\u007f\u009b\u202e""#);
        assert_eq!(json("\u{e0041}"), r#""\udb40\udc41""#);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_949), "999.9 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(1_234_567_890), "1.2 GB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_345), "12,345");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(rate(824_000_000, Duration::from_secs(2)), "412.0 MB/s");
        assert_eq!(rate(1, Duration::ZERO), "-");
        assert_eq!(count_rate(24_690, Duration::from_secs(2)), "12,345/s");
        assert_eq!(seconds(Duration::from_millis(420)), "0.42 s");
        assert_eq!(seconds(Duration::from_millis(9_999)), "10.0 s");
        assert_eq!(seconds(Duration::from_millis(59_960)), "1 min 00 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(seconds(Duration::from_secs(3_720)), "1 h 02 min");
    }
}
