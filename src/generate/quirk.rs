//! Records that are legal and hostile: what clients really send into the three fields that S3 quotes and never
//! escapes. Each changes one ordinary row and leaves it a record.

use super::operation::Operation;
use super::pen::{Pen, Row, Text};
use super::world::Style;

/// A deviation.
#[derive(Debug, Clone, Copy)]
enum Quirk {
    /// A scanner asks for a quote: `"GET /" HTTP/1.1"`.
    QuoteProbe,
    /// An exploit probe with quotes and backslashes in the target, and again in the Referer.
    PhpProbe,
    /// `filename="..."` in a parameter, not encoded.
    QuotesInTarget,
    /// Letters beyond ASCII in the path, not encoded.
    RawKey,
    /// The same in a parameter that S3 ignores and logs.
    RawParameter,
    QuotesInAgent,
    /// Quotes escaped by the client, which S3 does not undo.
    BackslashesInAgent,
    AgentOpensTwice,
    AgentClosesTwice,
    RefererClosesTwice,
    JsonAgent,
    BlanksInReferer,
    /// Bytes that are no UTF-8.
    BrokenAgent,
    EmptyAgent,
}

/// Each quirk, and first those that replace the whole request.
const QUIRKS: [Quirk; 14] = [
    Quirk::QuoteProbe,
    Quirk::PhpProbe,
    Quirk::RawKey,
    Quirk::QuotesInTarget,
    Quirk::RawParameter,
    Quirk::QuotesInAgent,
    Quirk::BackslashesInAgent,
    Quirk::AgentOpensTwice,
    Quirk::AgentClosesTwice,
    Quirk::RefererClosesTwice,
    Quirk::JsonAgent,
    Quirk::BlanksInReferer,
    Quirk::BrokenAgent,
    Quirk::EmptyAgent,
];
const REPLACING: usize = 3;

const PROBE: &str = r#"?s=index/\think\app/invokefunction&function=call_user_func_array&vars[0]=md5&vars[1][]="x";<?php%20echo%20"example";?>"#;
const RAW: &str = "отчёт-№7.pdf";
const RAW_TWICE: &[u8] = b"%25D0%25BE%25D1%2582%25D1%2587%25D1%2591%25D1%2582-%25E2%2584%25967.pdf";

/// Writes `row` with a quirk.
pub(super) fn write(pen: &mut Pen<'_>, row: &Row<'_>) {
    // Only a lone read can become another request: rows of a group depend on each other.
    let replaceable = row.operation == Operation::GetObject && row.authentication != "QueryString";
    let kinds = if replaceable { &QUIRKS[..] } else { &QUIRKS[REPLACING..] };
    let quirk = *pen.rng.pick(kinds);
    let mut row = *row;
    let agent = match row.agent {
        Text::Of(agent) => agent,
        Text::Bare | Text::Dash => b"-",
    };
    match quirk {
        Quirk::QuoteProbe => {
            row = replace(pen, row, b"%2522", "GET /\"");
            row.refuse(403, "AccessDenied", 243);
            row.size = None;
        }
        Quirk::PhpProbe => {
            row = replace(pen, row, b"/", "GET //");
            pen.uri.extend_from_slice(PROBE.as_bytes());
            row.refuse(404, "NoSuchKey", 272);
            row.size = None;
            let referer = [b"https://", row.host, b"//", PROBE.as_bytes()].concat();
            row.referer = Text::Of(&referer);
            return pen.put(&row, true);
        }
        Quirk::RawKey => {
            row = replace(pen, row, RAW_TWICE, "GET /");
            pen.uri.extend_from_slice(RAW.as_bytes());
        }
        Quirk::QuotesInTarget => {
            pen.query("response-content-disposition=attachment;%20filename=\"report.json\"");
        }
        Quirk::RawParameter => pen.query("x-note=приёмка"),
        Quirk::QuotesInAgent => {
            row.agent =
                Text::Of(br#"Mozilla/5.0 (compatible; "Example Bot" 1.0; +http://www.example.com/bot)"#);
        }
        Quirk::BackslashesInAgent => {
            row.agent = Text::Of(br#"Mozilla/4.0 (compatible; MSIE 6.0; \"Windows NT 5.1\"; SV1)"#);
        }
        Quirk::AgentOpensTwice => {
            let agent = [b"\"", agent].concat();
            row.agent = Text::Of(&agent);
            return pen.put(&row, true);
        }
        Quirk::AgentClosesTwice => {
            let agent = [agent, b"\""].concat();
            row.agent = Text::Of(&agent);
            return pen.put(&row, true);
        }
        Quirk::RefererClosesTwice => {
            row.referer = Text::Of(br#"http://www.example.com/recorder.php?id=452""#);
        }
        Quirk::JsonAgent => {
            row.agent = Text::Of(
                br#"pip/24.3.1 {"ci":null,"cpu":"x86_64","implementation":{"name":"CPython","version":"3.12.8"},"system":{"name":"Linux","release":"6.1.0"}}"#,
            );
        }
        Quirk::BlanksInReferer => row.referer = Text::Of(b"referer test - with blanks"),
        Quirk::BrokenAgent => row.agent = Text::Of(b"Mozilla/5.0 (Caf\xe9 \xff\xfe Browser)"),
        Quirk::EmptyAgent => row.agent = Text::Of(b""),
    }
    pen.put(&row, true);
}

/// `row` with another key and request line, of a virtual host.
fn replace<'a, 'w: 'a>(pen: &mut Pen<'w>, row: Row<'a>, key: &[u8], line: &str) -> Row<'a> {
    pen.key.clear();
    pen.key.extend_from_slice(key);
    pen.uri.clear();
    pen.uri.extend_from_slice(line.as_bytes());
    Row { host: pen.world.buckets[pen.bucket].host(Style::VirtualHost), access_point: b"-", ..row }
}

#[cfg(test)]
mod tests {
    use super::super::text::Encoded;
    use super::*;

    #[test]
    fn the_raw_key_is_logged_encoded_twice() {
        assert_eq!(Encoded::new(RAW).twice, RAW_TWICE);
    }
}
