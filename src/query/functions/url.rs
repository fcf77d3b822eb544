//! Keys and request-URIs: percent-encoding, and the parts of the request line.
//!
//! The request-URI is logged as the caller sent it. It can hold raw quotes and blanks, and it can lack the
//! protocol; so the method ends at the first blank, and the target at the last ` HTTP/`.

use std::borrow::Cow;

use super::{Row, Spec};
use crate::record::value;

const REQUEST_URI: (&str, &str) = ("request_uri", "The request line as logged: method, target, protocol");

pub(super) const FUNCTIONS: &[Spec] = &[
    Spec {
        name: "decode_key",
        arguments: &[
            ("logged", "The key as it is written in the log"),
            ("operation", "The operation of the same record"),
        ],
        description: "The object key that the logged text stands for: BATCH and S3 rows are decoded once with `+` \
                      for a blank, all others twice. Wrong escapes stay, bytes that are not UTF-8 become U+FFFD.",
        example: "decode_key('a%253Db', 'REST.GET.OBJECT') -> a=b",
        row: Row::Two(decode_key),
    },
    Spec {
        name: "url_decode",
        arguments: &[("text", "Percent-encoded text")],
        description: "Percent-decodes once; `+` stays. Wrong escapes stay, bytes that are not UTF-8 become U+FFFD.",
        example: "url_decode('a%20b+c') -> a b+c",
        row: Row::One(url_decode),
    },
    Spec {
        name: "url_decode_form",
        arguments: &[("text", "Text encoded as by an HTML form")],
        description: "Percent-decodes once, and `+` is a blank. Wrong escapes stay, bytes that are not UTF-8 become \
                      U+FFFD.",
        example: "url_decode_form('a%20b+c') -> a b c",
        row: Row::One(url_decode_form),
    },
    Spec {
        name: "uri_method",
        arguments: &[REQUEST_URI],
        description: "The HTTP method: what stands before the first blank.",
        example: "uri_method('GET /photo.jpg?acl HTTP/1.1') -> GET",
        row: Row::One(method),
    },
    Spec {
        name: "uri_path",
        arguments: &[REQUEST_URI],
        description: "The path of the target, as sent and not decoded; null when there is no target.",
        example: "uri_path('GET /photo%20one.jpg?acl HTTP/1.1') -> /photo%20one.jpg",
        row: Row::One(path),
    },
    Spec {
        name: "uri_query",
        arguments: &[REQUEST_URI],
        description: "The query string of the target without its question mark, as sent; null when there is none.",
        example: "uri_query('GET /photo.jpg?versionId=1&acl HTTP/1.1') -> versionId=1&acl",
        row: Row::One(query),
    },
    Spec {
        name: "uri_param",
        arguments: &[REQUEST_URI, ("name", "Name of the parameter, upper or lower case")],
        description: "The percent-decoded value of the first query-string parameter of that name; empty for a \
                      parameter without value, null when it is not there.",
        example: "uri_param('GET /?X-Amz-Expires=900 HTTP/1.1', 'x-amz-expires') -> 900",
        row: Row::Two(param),
    },
];

fn decode_key<'a>(logged: &'a str, operation: &str) -> Option<Cow<'a, str>> {
    Some(text(value::decode_key(operation.as_bytes(), logged.as_bytes())))
}

fn url_decode(encoded: Option<&str>) -> Option<Cow<'_, str>> {
    Some(percent_decode(encoded?))
}

fn url_decode_form(encoded: Option<&str>) -> Option<Cow<'_, str>> {
    Some(text(value::percent_decode(encoded?.as_bytes(), true)))
}

fn method(request_uri: Option<&str>) -> Option<Cow<'_, str>> {
    let method = request_uri?.split(' ').next()?;
    (!method.is_empty()).then_some(Cow::Borrowed(method))
}

fn path(request_uri: Option<&str>) -> Option<Cow<'_, str>> {
    let target = target(request_uri?)?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Cow::Borrowed(path))
}

fn query(request_uri: Option<&str>) -> Option<Cow<'_, str>> {
    let (_, query) = target(request_uri?)?.split_once('?')?;
    Some(Cow::Borrowed(query))
}

fn param<'a>(request_uri: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = target(request_uri)?.split_once('?')?;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if percent_decode(key).eq_ignore_ascii_case(name) {
            return Some(percent_decode(value));
        }
    }
    None
}

/// What stands between the method and the protocol.
fn target(request_uri: &str) -> Option<&str> {
    let (_, rest) = request_uri.split_once(' ')?;
    Some(match rest.rfind(" HTTP/") {
        // A target with a blank of its own can hold the same letters: only a last word is a protocol.
        Some(at) if !rest[at + 1..].contains(' ') => &rest[..at],
        _ => rest,
    })
}

fn percent_decode(encoded: &str) -> Cow<'_, str> {
    text(value::percent_decode(encoded.as_bytes(), false))
}

/// Decoded bytes as text.
fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;

    fn one(name: &str, text: &str) -> Option<String> {
        call(name, &[Some(text)])
    }

    fn uri_param(uri: &str, name: &str) -> Option<String> {
        call("uri_param", &[Some(uri), Some(name)])
    }

    #[test]
    fn keys_follow_their_operation() {
        let key = |logged, operation| call("decode_key", &[Some(logged), Some(operation)]).unwrap();
        assert_eq!(key("foo-%2525Y", "REST.GET.OBJECT"), "foo-%Y");
        assert_eq!(key("foo-%2525Y", "BATCH.DELETE.OBJECT"), "foo-%25Y");
        assert_eq!(key("a+b", "WEBSITE.GET.OBJECT"), "a+b");
        assert_eq!(key("a+b", "S3.EXPIRE.OBJECT"), "a b");
        assert_eq!(key("%25FF", "REST.GET.OBJECT"), "\u{fffd}");
        assert_eq!(key("100%", "REST.GET.OBJECT"), "100%");
    }

    #[test]
    fn decoding_keeps_what_is_no_escape() {
        assert_eq!(one("url_decode", "%zz%4").unwrap(), "%zz%4");
        assert_eq!(one("url_decode", "%D0%BA").unwrap(), "к");
        assert_eq!(one("url_decode", "%C3%28").unwrap(), "\u{fffd}(");
        assert_eq!(one("url_decode_form", "1%2B1+=").unwrap(), "1+1 =");
    }

    #[test]
    fn request_lines_of_every_shape() {
        // (request-URI, method, path, query)
        let cases = [
            ("GET /a?b=c HTTP/1.1", Some("GET"), Some("/a"), Some("b=c")),
            ("PUT /a b.txt HTTP/1.1", Some("PUT"), Some("/a b.txt"), None),
            ("COPY /from/key", Some("COPY"), Some("/from/key"), None),
            ("GET /\" HTTP/1.1", Some("GET"), Some("/\""), None),
            ("GET /x HTTP/1.1 y", Some("GET"), Some("/x HTTP/1.1 y"), None),
            ("GET /x HTTP/1.1 HTTP/1.1", Some("GET"), Some("/x HTTP/1.1"), None),
            (
                "GET //?s=index/\\think?$p%20=%20\"x\" HTTP/1.1",
                Some("GET"),
                Some("//"),
                Some("s=index/\\think?$p%20=%20\"x\""),
            ),
            ("GET ? HTTP/1.1", Some("GET"), Some(""), Some("")),
            ("GET", Some("GET"), None, None),
            ("", None, None, None),
            (" /x", None, Some("/x"), None),
        ];
        for (uri, method, path, query) in cases {
            assert_eq!(one("uri_method", uri).as_deref(), method, "method of {uri:?}");
            assert_eq!(one("uri_path", uri).as_deref(), path, "path of {uri:?}");
            assert_eq!(one("uri_query", uri).as_deref(), query, "query of {uri:?}");
        }
    }

    #[test]
    fn parameters_are_found_case_blind_and_decoded() {
        let uri = "GET /k?versionId=%2B1&ACL&x%2Damz-date=20260301T000000Z&versionid=2&q=a\"b c&= HTTP/1.1";
        assert_eq!(uri_param(uri, "VersionID").as_deref(), Some("+1"));
        assert_eq!(uri_param(uri, "acl").as_deref(), Some(""));
        assert_eq!(uri_param(uri, "X-Amz-Date").as_deref(), Some("20260301T000000Z"));
        assert_eq!(uri_param(uri, "q").as_deref(), Some("a\"b c"));
        assert_eq!(uri_param(uri, "k"), None);
        assert_eq!(uri_param("GET /k HTTP/1.1", "acl"), None);
    }
}
