//! What S3, its clients, other servers and bad luck make of a line, one hazard a test.
//!
//! Every line is made up, with addresses and names that are set aside for documentation. [`accept`] checks that a
//! line is printed back byte for byte from its record and from its row, so each test here is also one of that.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int16Type, TimestampMicrosecondType};
use s3trail::batch::{Batcher, DateBatch};
use s3trail::lines::split_lines;
use s3trail::record::{Field, Quirk, Quirks, Record};

use crate::common::{
    self, BUCKET, OWNER, RowLine, Spelled, TIME, batch_at, parse, raw_line, rows_as_lines, written_fields,
};

/// A line that was accepted: its record, and the row it became.
struct Accepted<'a> {
    record: Record<'a>,
    row: RecordBatch,
    event_date: Option<i32>,
}

impl Accepted<'_> {
    /// The text of a field; `None` for a dash and for a field that is not there.
    #[track_caller]
    fn get(&self, field: Field) -> Option<&str> {
        self.record.get(field).map(|text| std::str::from_utf8(text).expect("UTF-8"))
    }

    /// The text of a column; `None` for null.
    #[track_caller]
    fn column(&self, name: &str) -> Option<&str> {
        common::text(&self.row, name, 0)
    }
}

/// Reads `line`, which must be a record with exactly `quirks` (names, comma-separated, as in the column) and must be
/// printed back unchanged.
#[track_caller]
fn accept<'a>(line: &'a [u8], quirks: &str) -> Accepted<'a> {
    accept_text(line, b"\n", quirks)
}

#[track_caller]
fn accept_text<'a>(line: &'a [u8], end: &[u8], quirks: &str) -> Accepted<'a> {
    let shown = || line.escape_ascii().to_string();
    let record = match parse(line) {
        Ok(record) => record,
        Err(reject) => panic!("refused: {} at {}\n{}", reject.reason(line), reject.offset, shown()),
    };
    let text = [line, end].concat();
    let mut batches = batch_at(&text, 0);
    let printed: Vec<RowLine> = rows_as_lines(&batches);
    assert!(printed == [(0, text)], "the row prints another line than\n{}", shown());
    let DateBatch { batch: row, event_date, .. } = batches.remove(0);
    let found = common::text(&row, "quirks", 0);
    assert_eq!(found.unwrap_or(""), quirks, "quirks of\n{}", shown());
    assert_ne!(found, Some(""), "no quirk is null");
    let is_lossy = Quirks::from_names(quirks).is_lossy();
    assert_eq!(raw_line(&row, 0), is_lossy.then_some(line), "raw_line of\n{}", shown());
    let mut written = Vec::new();
    record.write_line(&mut written);
    if !record.quirks.is_lossy() {
        assert!(written == line, "the record prints another line than\n{}", shown());
    }
    Accepted { record, row, event_date }
}

/// Reads `line`, which must be refused at `offset` for `reason`.
#[track_caller]
fn refuse(line: &[u8], offset: usize, reason: &str) {
    match parse(line) {
        Ok(_) => panic!("accepted:\n{}", line.escape_ascii()),
        Err(reject) => assert_eq!((reject.reason(line).as_str(), reject.offset), (reason, offset)),
    }
}

/// Refused, whatever the reason.
#[track_caller]
fn refuse_any(line: &[u8]) {
    assert!(parse(line).is_err(), "accepted:\n{}", line.escape_ascii());
}

/// `field` written as `text` in a line that is otherwise plain: accepted without a quirk, and `text` comes back.
#[track_caller]
fn plain_value(field: Field, text: &str) {
    let line = Spelled::new().with(field, text).line();
    assert_eq!(accept(&line, "").get(field), Some(text));
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Where field `field` of `line` begins.
fn offset_of(line: &Spelled, field: Field) -> usize {
    line.fields()[..field as usize].iter().map(|text| text.len() + 1).sum()
}

/// A key row of a multi-delete: three bare dashes, no quote in the line.
fn batch_delete(key: &str) -> Spelled {
    Spelled::new()
        .with(Field::Operation, "BATCH.DELETE.OBJECT")
        .with(Field::Key, key)
        .with(Field::RequestUri, "-")
        .with(Field::HttpStatus, "204")
        .with(Field::BytesSent, "-")
        .with(Field::TotalTimeMs, "-")
        .with(Field::TurnAroundTimeMs, "-")
        .with(Field::Referer, "-")
        .with(Field::UserAgent, "-")
}

const BARE: &str = "bare_request_uri,bare_referer,bare_user_agent";

// ---- The fields and their generations (format: 1.1, 1.5) ----

#[test]
fn a_record_of_today_has_27_fields() {
    let line = Spelled::new().line();
    let accepted = accept(&line, "");
    let record = &accepted.record;
    assert_eq!((record.width, record.extra), (27, None));
    assert_eq!(record.time, Some(1_772_360_430));
    assert_eq!(record.http_status, Some(200));
    assert_eq!((record.bytes_sent, record.object_size), (Some(1409), Some(262_144)));
    assert_eq!((record.total_time_ms, record.turn_around_time_ms), (Some(61), Some(55)));
    assert_eq!(record.acl_required(), Some(true));
    for (field, text) in [
        (Field::BucketOwner, OWNER),
        (Field::Bucket, BUCKET),
        (Field::Time, "01/Mar/2026:10:20:30 +0000"),
        (Field::RemoteIp, "192.0.2.3"),
        (Field::Requester, "arn:aws:iam::111122223333:user/alice"),
        (Field::RequestId, "J42N2W7ET0EC03CV"),
        (Field::Operation, "REST.GET.OBJECT"),
        (Field::Key, "photos/2026/cat.jpg"),
        (Field::RequestUri, "GET /photos/2026/cat.jpg HTTP/1.1"),
        (Field::Referer, "https://www.example.com/index.html"),
        (Field::UserAgent, "Mozilla/5.0 (X11; Linux x86_64) Firefox/148.0"),
        (Field::VersionId, "MwI7yXtui4mtwTeuZxHoT4qHap44j3T2"),
        (Field::HostId, "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234="),
        (Field::SignatureVersion, "SigV4"),
        (Field::CipherSuite, "TLS_AES_128_GCM_SHA256"),
        (Field::AuthenticationType, "AuthHeader"),
        (Field::HostHeader, "amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com"),
        (Field::TlsVersion, "TLSv1.3"),
        (Field::AccessPointArn, "arn:aws:s3:us-east-1:111122223333:accesspoint/example-ap"),
        (Field::AclRequired, "Yes"),
        (Field::SourceRegion, "us-east-1"),
    ] {
        assert_eq!(accepted.get(field), Some(text), "{field}");
        if !matches!(field, Field::Time | Field::AclRequired) {
            assert_eq!(accepted.column(field.name()), Some(text), "{field}");
        }
    }
    assert_eq!(accepted.get(Field::ErrorCode), None);
    let row = &accepted.row;
    assert_eq!(common::int(row, "object_size", 0), Some(262_144));
    let column = |name: &str| row.column_by_name(name).expect("a column").clone();
    assert_eq!(column("time").as_primitive::<TimestampMicrosecondType>().value(0), 1_772_360_430_000_000);
    assert_eq!(column("http_status").as_primitive::<Int16Type>().value(0), 200);
    assert!(column("acl_required").as_boolean().value(0));
    assert_eq!(accepted.event_date, Some(20_513));
    assert_eq!(accepted.column("log_bucket"), Some("amzn-s3-demo-logs"));
    assert_eq!(accepted.column("log_key"), Some("logs/key"));
    assert_eq!(common::int(row, "record_bytes", 0), Some(line.len() as i64 + 1));
}

#[test]
fn older_records_have_fewer_fields() {
    for (width, time) in [
        (17, "[03/Jun/2009:08:14:55 +0000]"),
        (18, "[10/Feb/2010:09:02:40 +0000]"),
        (18, "[28/Feb/2019:23:59:59 +0000]"),
        (24, "[01/Apr/2019:00:00:00 +0000]"),
        (25, "[08/Nov/2021:13:10:55 +0000]"),
        (26, "[31/Jan/2023:10:40:02 +0000]"),
        (27, TIME),
    ] {
        let line = Spelled::new().with(Field::Time, time).cut(width).line();
        let record = accept(&line, "").record;
        assert_eq!(usize::from(record.width), width);
        assert!(Field::ALL[width..].iter().all(|field| record.get(*field).is_none()));
        assert_eq!(record.acl_required(), (width > 25).then_some(true));
    }
}

#[test]
fn generations_are_mixed_within_a_day() {
    // Ends of dashes are what a row could confuse with fields that are not there.
    let mut dashes = Spelled::new();
    for field in Field::ALL.into_iter().skip(17) {
        dashes = dashes.with(field, "-");
    }
    let widths = [25, 26, 27, 24, 26, 25];
    let lines = widths.map(|width| dashes.clone().cut(width).line());
    let text = [lines.join(&b'\n'), b"\n".to_vec()].concat();
    let batches = batch_at(&text, 0);
    assert_eq!(batches.len(), 1);
    let printed: Vec<Vec<u8>> = rows_as_lines(&batches).into_iter().map(|(_, line)| line).collect();
    assert_eq!(printed.concat(), text);
    let acl = batches[0].batch.column_by_name("acl_required").expect("a column").as_boolean().clone();
    assert_eq!(acl.iter().collect::<Vec<_>>(), widths.map(|width| (width > 25).then_some(false)));
}

#[test]
fn a_short_record_of_a_later_time_is_marked() {
    for (width, time, quirk) in [
        (17, "[31/Dec/2010:23:59:59 +0000]", ""),
        (17, "[01/Jan/2011:00:00:00 +0000]", "short_for_age"),
        (17, TIME, "short_for_age"),
        (18, "[30/Jun/2019:23:59:59 +0000]", ""),
        (18, "[01/Jul/2019:00:00:00 +0000]", "short_for_age"),
        (18, TIME, "short_for_age"),
        (24, TIME, ""),
        (25, TIME, ""),
        (26, TIME, ""),
    ] {
        accept(&Spelled::new().with(Field::Time, time).cut(width).line(), quirk);
    }
}

#[test]
fn no_record_has_any_other_number_of_fields() {
    const TIME_TEXT: &str = "[dd/Mon/yyyy:HH:MM:SS +0000]";
    for (width, reason) in [
        (1, format!("bucket_owner: expected a word and a blank, found \"{}…\"", &OWNER[..40])),
        (2, format!("bucket: expected a word and a blank, found \"{BUCKET}\"")),
        (3, format!("time: expected {TIME_TEXT}, found \"[01/Mar/2026:10:20:30\"")),
        (4, "remote_ip: expected a word and a blank, found \"192.0.2.3\"".to_owned()),
        (
            5,
            "requester: expected a word and a blank, found \"arn:aws:iam::111122223333:user/alice\""
                .to_owned(),
        ),
        (6, "request_id: expected a word and a blank, found \"J42N2W7ET0EC03CV\"".to_owned()),
        (8, "key: expected a word and a blank, found \"photos/2026/cat.jpg\"".to_owned()),
        (10, "http_status: expected three digits or -, found \"200\"".to_owned()),
        (11, "error_code: expected a word and a blank, found \"-\"".to_owned()),
        (12, "bytes_sent: expected a word and a blank, found \"1409\"".to_owned()),
        (13, "object_size: expected a word and a blank, found \"262144\"".to_owned()),
        (14, "total_time_ms: expected a word and a blank, found \"61\"".to_owned()),
        (15, "turn_around_time_ms: expected a word and a blank, found \"55\"".to_owned()),
    ] {
        let line = Spelled::new().cut(width);
        refuse(&line.line(), offset_of(&line, Field::ALL[width - 1]), &reason);
    }
    refuse_any(&Spelled::new().cut(7).line());
    refuse_any(&Spelled::new().cut(9).line());
    refuse_any(&Spelled::new().cut(16).line());
    for width in 19..=23 {
        let line = Spelled::new().cut(width).line();
        let field = Field::ALL[width];
        let reason = format!("{field}: expected 17, 18, or 24 and more fields, found the end of the line");
        refuse(&line, line.len(), &reason);
    }
}

#[test]
fn fields_that_are_not_known_yet_are_kept_verbatim() {
    for extra in ["new", "new - 42", "a  b", "[x] (y) z="] {
        let line = [&Spelled::new().line(), extra.as_bytes()].join(&b' ');
        let accepted = accept(&line, "extra_fields");
        assert_eq!(accepted.record.width, 27);
        assert_eq!(accepted.record.extra, Some(extra.as_bytes()));
        assert_eq!(accepted.column("extra"), Some(extra));
        assert_eq!(accepted.get(Field::SourceRegion), Some("us-east-1"));
    }
}

#[test]
fn fields_that_are_not_known_yet_may_be_quoted() {
    // No client can write a line like these: behind the last quote of a record of this age come 7 fields or more.
    for extra in ["\"new value\"", "\"-\"", "- \"a b\" c", "\"a\" \"b\" -"] {
        let line = [&Spelled::new().line(), extra.as_bytes()].join(&b' ');
        let accepted = accept(&line, "extra_fields");
        assert_eq!(accepted.record.extra, Some(extra.as_bytes()));
        assert_eq!(accepted.get(Field::UserAgent), Some(AGENT));
        assert_true_tail(&accepted);
    }
}

#[test]
fn a_dash_stands_for_nothing_in_every_field() {
    for field in Field::ALL {
        let quirk = match field {
            Field::Time => "no_time",
            Field::RequestUri => "bare_request_uri",
            Field::Referer => "bare_referer",
            Field::UserAgent => "bare_user_agent",
            _ => "",
        };
        let line = Spelled::new().with(field, "-").line();
        let accepted = accept(&line, quirk);
        assert_eq!(accepted.get(field), None, "{field}");
        let column = accepted.row.column_by_name(field.name()).expect("a column");
        if field == Field::AclRequired {
            assert!(!column.as_boolean().value(0) && column.is_valid(0));
        } else {
            assert!(column.is_null(0), "{field}");
        }
    }
    for width in [17, 18, 24, 25, 26, 27] {
        let line = vec![&b"-"[..]; width].join(&b' ');
        let accepted = accept(&line, &format!("{BARE},no_time"));
        assert_eq!((accepted.record.time, accepted.event_date), (None, None));
    }
    let quoted_dashes = b"- - - - - - - - \"-\" - - - - - - \"-\" \"-\" -";
    accept(quoted_dashes, "no_time");
}

// ---- One field at a time (format: 1.1, 1.4) ----

#[test]
fn owners_are_not_validated() {
    for owner in ["79a5", "test", "****************", "0"] {
        plain_value(Field::BucketOwner, owner);
    }
}

#[test]
fn buckets_may_have_dots() {
    plain_value(Field::Bucket, "www.amzn-s3-demo.example.com");
}

#[test]
fn the_time_is_bracketed_and_has_a_short_english_month() {
    for (time, seconds) in [
        ("[29/Feb/2024:23:59:59 +0000]", 1_709_251_199),
        ("[01/Jan/1970:00:00:00 +0000]", 0),
        ("[31/Dec/1969:23:59:59 +0000]", -1),
        ("[31/Dec/9999:23:59:59 +0000]", 253_402_300_799),
        ("[01/Jan/0000:00:00:00 +0000]", -62_167_219_200),
    ] {
        assert_eq!(accept(&Spelled::new().with(Field::Time, time).line(), "").record.time, Some(seconds));
    }
    let at = OWNER.len() + 1 + BUCKET.len() + 1;
    for (time, found) in [
        ("[01/March/2026:10:20:30 +0000]", "[01/March/2026:10:20:30"),
        ("[01/mar/2026:10:20:30 +0000]", "[01/mar/2026:10:20:30"),
        ("[01/03/2026:10:20:30 +0000]", "[01/03/2026:10:20:30"),
        ("[1/Mar/2026:10:20:30 +0000]", "[1/Mar/2026:10:20:30"),
        ("[30/Feb/2026:10:20:30 +0000]", "[30/Feb/2026:10:20:30"),
        ("[29/Feb/2026:10:20:30 +0000]", "[29/Feb/2026:10:20:30"),
        ("[01/Mar/2026:24:20:30 +0000]", "[01/Mar/2026:24:20:30"),
        ("[01/Mar/2026:10:20:60 +0000]", "[01/Mar/2026:10:20:60"),
        ("[01/Mar/2026:10:20:30 +2400]", "[01/Mar/2026:10:20:30"),
        ("[01/Mar/2026:10:20:30 0000]", "[01/Mar/2026:10:20:30"),
        ("[01/Mar/2026:10:20:30]", "[01/Mar/2026:10:20:30]"),
        ("01/Mar/2026:10:20:30 +0000", "01/Mar/2026:10:20:30"),
        ("\"01/Mar/2026:10:20:30 +0000\"", "\\\"01/Mar/2026:10:20:30"),
        ("2026-03-01T10:20:30Z", "2026-03-01T10:20:30Z"),
        ("[]", "[]"),
    ] {
        let line = Spelled::new().with(Field::Time, time).line();
        refuse(&line, at, &format!("time: expected [dd/Mon/yyyy:HH:MM:SS +0000], found \"{found}\""));
    }
}

#[test]
fn another_offset_is_turned_into_utc() {
    for (time, seconds, date) in [
        ("[01/Mar/2026:10:20:30 -0500]", 1_772_378_430, 20_513),
        ("[01/Mar/2026:10:20:30 +0200]", 1_772_353_230, 20_513),
        ("[01/Mar/2026:23:30:00 -0500]", 1_772_425_800, 20_514),
        ("[01/Mar/2026:00:30:00 +0530]", 1_772_305_200, 20_512),
        ("[01/Mar/2026:10:20:30 -0000]", 1_772_360_430, 20_513),
    ] {
        let line = Spelled::new().with(Field::Time, time).line();
        let accepted = accept(&line, "time_offset");
        assert_eq!(accepted.record.time, Some(seconds), "{time}");
        assert_eq!(accepted.event_date, Some(date), "{time}");
    }
}

#[test]
fn a_time_that_four_digits_cannot_name_in_utc_is_refused() {
    for time in ["[01/Jan/0000:00:00:00 +0100]", "[31/Dec/9999:23:59:59 -0100]"] {
        let line = Spelled::new().with(Field::Time, time).line();
        let why = parse(&line).expect_err(time);
        assert_eq!(why.to_string(), "time: expected [dd/Mon/yyyy:HH:MM:SS +0000]");
    }
}

#[test]
fn addresses_are_v4_v6_or_missing() {
    for address in [
        "192.0.2.3",
        "10.0.0.1",
        "172.31.255.254",
        "2001:db8::1",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "::ffff:192.0.2.3",
        "192.0.2.***",
    ] {
        plain_value(Field::RemoteIp, address);
    }
}

#[test]
fn requesters_have_many_forms() {
    for requester in [
        "Anonymous",
        "65a011a29cdf8ec533ec3d1ccaae921c",
        OWNER,
        "arn:aws:iam::111122223333:user/alice@example.com",
        "arn:aws:sts::111122223333:assumed-role/Admin/alice=x_y.z@example.com",
        "arn:aws:sts::111122223333:assumed-role/replication/s3-replication",
        "AmazonS3",
        "svc:delivery.logs.amazonaws.com",
        "svc:cloudfront.amazonaws.com",
        "arn:aws-us-gov:iam::111122223333:user/bob",
    ] {
        plain_value(Field::Requester, requester);
    }
}

#[test]
fn an_origin_access_identity_has_blanks() {
    let identity = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLE1W8UZ";
    let line = Spelled::new().with(Field::Requester, identity).line();
    let accepted = accept(&line, "blank_in_requester");
    assert_eq!(accepted.get(Field::Requester), Some(identity));
    assert_eq!(accepted.get(Field::RequestId), Some("J42N2W7ET0EC03CV"));
    assert_eq!(accepted.get(Field::Operation), Some("REST.GET.OBJECT"));
    // A user who is only called so has none.
    plain_value(Field::Requester, "arn:aws:iam::111122223333:user/CloudFront");
    // No other requester with a blank is known.
    let line = Spelled::new().with(Field::Requester, "arn:aws:iam::111122223333:user/a b");
    let at = offset_of(&line, Field::Operation) - "J42N2W7ET0EC03CV ".len();
    refuse(
        &line.line(),
        at,
        "operation: expected an operation such as REST.GET.OBJECT, found \"J42N2W7ET0EC03CV\"",
    );
}

#[test]
fn request_ids_are_hex_or_base_32_or_a_uuid() {
    for id in ["3E57427F3EXAMPLE", "79A5", "4b1f7d3c-2f8e-4f0c-9a57-0c2d5a1e7b90.4161.850345"] {
        plain_value(Field::RequestId, id);
    }
    let line = Spelled::new()
        .with(Field::RequestId, "4b1f7d3c-2f8e-4f0c-9a57-0c2d5a1e7b90")
        .with(Field::Operation, "S3.COMPUTE.OBJECT.CHECKSUM")
        .line();
    assert_eq!(accept(&line, "").get(Field::Operation), Some("S3.COMPUTE.OBJECT.CHECKSUM"));
}

#[test]
fn operations_are_an_open_list_of_dotted_names() {
    for operation in [
        "REST.PUT.PART",
        "WEBSITE.GET.OBJECT",
        "SOAP.PUT.OBJECT",
        "S3.TRANSITION_SIA.OBJECT",
        "S3.CREATE.DELETEMARKER",
        "REST.HEAD.stat_bucket",
        "NEW.SORT.OF.THING",
    ] {
        plain_value(Field::Operation, operation);
    }
    for word in ["GET", "get.object", "\"GET", "192.0.2.3"] {
        let line = Spelled::new().with(Field::Operation, word);
        let found = word.replace('"', "\\\"");
        let reason = format!("operation: expected an operation such as REST.GET.OBJECT, found \"{found}\"");
        refuse(&line.line(), offset_of(&line, Field::Operation), &reason);
    }
}

#[test]
fn a_request_uri_may_lack_its_protocol_and_hold_raw_text() {
    for uri in [
        "PUT /amzn-s3-demo-bucket/copy.txt",
        "PUT /кириллица HTTP/1.1",
        "GET /a?x-custom=1&ncbi_phid=2 HTTP/1.1",
        "GET /a b c HTTP/1.1",
        "GET /\\think\\template HTTP/1.1",
        "GET * HTTP/1.0",
        " ",
    ] {
        let line = Spelled::new().with(Field::RequestUri, quoted(uri)).line();
        assert_eq!(accept(&line, "").get(Field::RequestUri), Some(uri));
    }
}

#[test]
fn the_status_is_three_digits_or_a_dash() {
    for (status, number) in [("100", 100), ("206", 206), ("503", 503), ("999", 999)] {
        let line = Spelled::new().with(Field::HttpStatus, status).line();
        assert_eq!(accept(&line, "").record.http_status, Some(number));
    }
    for status in ["99", "1000", "099", "000", "20x", "+20", "200,"] {
        let line = Spelled::new().with(Field::HttpStatus, status);
        let at = offset_of(&line, Field::HttpStatus);
        refuse(&line.line(), at, &format!("http_status: expected three digits or -, found \"{status}\""));
    }
}

#[test]
fn the_error_code_is_no_function_of_the_status() {
    for code in ["TemporaryRedirect", "AccessDenied", "KMS.ThrottlingException", "404", "NoContent"] {
        let line = Spelled::new().with(Field::HttpStatus, "404").with(Field::ErrorCode, code).line();
        assert_eq!(accept(&line, "").get(Field::ErrorCode), Some(code));
    }
}

const NUMBERS: [Field; 4] =
    [Field::BytesSent, Field::ObjectSize, Field::TotalTimeMs, Field::TurnAroundTimeMs];

fn number(record: &Record<'_>, field: Field) -> Option<i64> {
    match field {
        Field::BytesSent => record.bytes_sent,
        Field::ObjectSize => record.object_size,
        Field::TotalTimeMs => record.total_time_ms,
        Field::TurnAroundTimeMs => record.turn_around_time_ms,
        _ => unreachable!("no number"),
    }
}

#[test]
fn numbers_have_up_to_63_bits() {
    for field in NUMBERS {
        for (text, value) in [
            ("0", 0),
            ("10905067", 10_905_067),
            ("420000000000", 420_000_000_000),
            ("9223372036854775807", i64::MAX),
        ] {
            let line = Spelled::new().with(field, text).line();
            let accepted = accept(&line, "");
            assert_eq!(number(&accepted.record, field), Some(value));
            assert_eq!(common::int(&accepted.row, field.name(), 0), Some(value));
        }
        for text in ["9223372036854775808", "99999999999999999999", "-1", "+1", "1.5", "1e3", "12kB", "0x10"]
        {
            let line = Spelled::new().with(field, text);
            let reason = format!("{field}: expected digits or -, found \"{text}\"");
            refuse(&line.line(), offset_of(&line, field), &reason);
        }
    }
}

#[test]
fn leading_zeros_are_tolerated_and_kept() {
    for field in NUMBERS {
        for (text, value) in [("00", 0), ("007", 7), ("0000000000000000042", 42)] {
            let line = Spelled::new().with(field, text).line();
            assert_eq!(number(&accept(&line, "odd_number").record, field), Some(value));
        }
    }
}

#[test]
fn an_empty_quoted_text_is_no_dash() {
    for field in [Field::RequestUri, Field::Referer, Field::UserAgent] {
        let line = Spelled::new().with(field, "\"\"").line();
        let accepted = accept(&line, "");
        assert_eq!((accepted.get(field), accepted.column(field.name())), (Some(""), Some("")));
        let line = Spelled::new().with(field, "\"-\"").line();
        let accepted = accept(&line, "");
        assert_eq!((accepted.get(field), accepted.column(field.name())), (None, None));
    }
    let line = Spelled::new()
        .with(Field::RequestUri, "\"\"")
        .with(Field::Referer, "\"\"")
        .with(Field::UserAgent, "\"\"")
        .line();
    accept(&line, "");
}

#[test]
fn host_ids_have_several_lengths_and_any_padding() {
    for length in [64, 76, 88, 96] {
        let id = &"Ab0+/".repeat(20)[..length - 1];
        plain_value(Field::HostId, &format!("{id}="));
        plain_value(Field::HostId, id);
    }
}

#[test]
fn fields_of_the_connection_have_these_forms() {
    for signature in ["SigV2", "SigV4", "SigV4A"] {
        plain_value(Field::SignatureVersion, signature);
    }
    for cipher in ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"] {
        plain_value(Field::CipherSuite, cipher);
    }
    for kind in ["AuthHeader", "QueryString", "HtmlForm"] {
        plain_value(Field::AuthenticationType, kind);
    }
    for host in [
        "s3.amazonaws.com",
        "amzn-s3-demo-bucket.s3.dualstack.eu-west-1.amazonaws.com",
        "amzn-s3-demo-bucket.s3-website-us-east-1.amazonaws.com",
        "example-ap-111122223333.s3-accesspoint.us-west-2.amazonaws.com",
        "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
        "www.example.com:8080",
    ] {
        plain_value(Field::HostHeader, host);
    }
    for version in ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "TLSV1.1", "TLSV1.2", "SSLv3"] {
        plain_value(Field::TlsVersion, version);
    }
    plain_value(Field::AccessPointArn, "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap");
    plain_value(Field::SourceRegion, "us-gov-west-1");
    // What these two say is how the end of a record is known again.
    let line = Spelled::new().with(Field::SignatureVersion, "AWS4");
    let at = offset_of(&line, Field::SignatureVersion);
    refuse(&line.line(), at, "signature_version: expected SigV2, SigV4 or -, found \"AWS4\"");
    let line = Spelled::new().with(Field::TlsVersion, "1.2");
    let at = offset_of(&line, Field::TlsVersion);
    refuse(&line.line(), at, "tls_version: expected a TLS version or -, found \"1.2\"");
}

#[test]
fn acl_required_is_yes_or_a_dash() {
    for (text, quirk, value) in [
        ("Yes", "", Some(true)),
        ("-", "", Some(false)),
        ("No", "unknown_acl_required", None),
        ("yes", "unknown_acl_required", None),
    ] {
        for width in [26, 27] {
            let line = Spelled::new().with(Field::AclRequired, text).cut(width).line();
            assert_eq!(accept(&line, quirk).record.acl_required(), value, "{text}");
        }
    }
}

// ---- Rows by operation (format: 0, 1.1) ----

#[test]
fn rows_of_a_multi_delete_have_bare_dashes() {
    let line = batch_delete("a/b.txt").line();
    let accepted = accept(&line, BARE);
    assert_eq!(accepted.record.http_status, Some(204));
    assert_eq!(accepted.get(Field::HostId).map(str::len), Some(76));
}

#[test]
fn the_source_side_of_a_copy_may_lack_the_status() {
    for (status, width) in [("200", 18), ("-", 18), ("-", 24), ("-", 27)] {
        let line = batch_delete("from.txt")
            .with(Field::Operation, "REST.COPY.OBJECT_GET")
            .with(Field::Time, if width == 18 { "[27/Feb/2014:05:30:55 +0000]" } else { TIME })
            .with(Field::HttpStatus, status)
            .cut(width)
            .line();
        accept(&line, BARE);
    }
}

#[test]
fn lifecycle_rows_have_quoted_dashes_and_their_full_width() {
    for (width, time) in
        [(18, "[18/Feb/2014:07:40:51 +0000]"), (24, "[05/Jun/2020:00:00:00 +0000]"), (27, TIME)]
    {
        let mut line = Spelled::new()
            .with(Field::Time, time)
            .with(Field::RemoteIp, "-")
            .with(Field::Requester, "AmazonS3")
            .with(Field::Operation, "S3.TRANSITION.OBJECT")
            .with(Field::RequestUri, "\"-\"")
            .with(Field::HttpStatus, "-")
            .with(Field::BytesSent, "-")
            .with(Field::TotalTimeMs, "-")
            .with(Field::TurnAroundTimeMs, "-")
            .with(Field::Referer, "\"-\"")
            .with(Field::UserAgent, "\"-\"");
        for field in Field::ALL.into_iter().skip(17) {
            line = line.with(field, "-");
        }
        let line = line.cut(width).line();
        let record = accept(&line, "").record;
        assert_eq!((record.http_status, record.object_size), (None, Some(262_144)));
    }
}

#[test]
fn one_text_may_be_bare_and_its_neighbours_quoted() {
    for (bare, quirk) in [
        (Field::RequestUri, "bare_request_uri"),
        (Field::Referer, "bare_referer"),
        (Field::UserAgent, "bare_user_agent"),
    ] {
        let line = Spelled::new().with(bare, "-").line();
        let accepted = accept(&line, quirk);
        for field in [Field::RequestUri, Field::Referer, Field::UserAgent] {
            assert_eq!(accepted.get(field).is_none(), field == bare);
        }
    }
}

// ---- Quotes that clients send (format: 1.2) ----

/// The three texts of a line, in which nothing else is odd, must come back as they are given.
#[track_caller]
fn texts([uri, referer, agent]: [&str; 3], quirks: &str) {
    for width in [17, 18, 24, 25, 26, 27] {
        let time = match width {
            17 => "[03/Jun/2009:08:14:55 +0000]",
            18 => "[10/Feb/2010:09:02:40 +0000]",
            _ => TIME,
        };
        let line = Spelled::new()
            .with(Field::Time, time)
            .with(Field::RequestUri, quoted(uri))
            .with(Field::Referer, quoted(referer))
            .with(Field::UserAgent, quoted(agent))
            .cut(width);
        let bytes = line.line();
        let accepted = accept(&bytes, quirks);
        assert_eq!(accepted.get(Field::RequestUri), Some(uri), "{width} fields");
        assert_eq!(accepted.get(Field::Referer), Some(referer), "{width} fields");
        assert_eq!(accepted.get(Field::UserAgent), Some(agent), "{width} fields");
        assert!(written_fields(&accepted.record) == line.fields(), "{width} fields");
    }
}

const URI: &str = "GET /photos/2026/cat.jpg HTTP/1.1";
const REFERER: &str = "https://www.example.com/index.html";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/148.0";

#[test]
fn a_raw_quote_in_the_target() {
    texts(["GET /\" HTTP/1.1", REFERER, AGENT], "quote_in_request_uri");
    texts(["GET /a\"b\"c\"\" HTTP/1.1", REFERER, AGENT], "quote_in_request_uri");
    texts(["GET /\"", REFERER, AGENT], "quote_in_request_uri");
    texts(["\"", REFERER, AGENT], "quote_in_request_uri");
}

#[test]
fn an_attack_probe_in_target_and_referer() {
    let probe = "//?s=index/\\x\\y/write&c=z.php&content=<?php$p%20=%20\"q\";$c%20=%20f(\".\",\"a.b\");?>";
    let uri = format!("GET {probe} HTTP/1.1");
    let referer = format!("https://amzn-s3-demo-bucket.s3.amazonaws.com{probe}");
    texts([&uri, &referer, AGENT], "quote_in_request_uri,quote_in_referer");
}

#[test]
fn a_presigned_url_with_a_file_name_in_quotes() {
    let uri = "GET /d.json?response-content-disposition=attachment;%20filename=\"d.json\"&X-Amz-Expires=60 HTTP/1.1";
    texts([uri, REFERER, AGENT], "quote_in_request_uri");
}

#[test]
fn texts_that_open_or_close_with_two_quotes() {
    texts([URI, REFERER, "\"Mozilla/5.0 (Windows NT 10.0) Safari/537.36"], "quote_in_user_agent");
    texts([URI, REFERER, "Mozilla/5.0 (iPhone) Safari/604.1\""], "quote_in_user_agent");
    texts([URI, REFERER, "\"Mozilla/5.0\""], "quote_in_user_agent");
    texts([URI, "http://www.example.com/recorder.php?id=452\"", AGENT], "quote_in_referer");
    texts([URI, "\"http://www.example.com/", AGENT], "quote_in_referer");
    texts([URI, "\"", "\""], "quote_in_referer,quote_in_user_agent");
    texts([URI, "", "\""], "quote_in_user_agent");
    texts([URI, "\"", ""], "quote_in_referer");
}

#[test]
fn an_agent_that_is_json() {
    let agent =
        "pip/19.1 {\"ci\":null,\"cpu\":\"x86_64\",\"distro\":{\"name\":\"Debian GNU/Linux\",\"id\":\"x\"}}";
    texts([URI, REFERER, agent], "quote_in_user_agent");
    texts([URI, REFERER, "{\"a\": \"b\", \"c\": [1, 2]}"], "quote_in_user_agent");
}

#[test]
fn a_referer_with_blanks() {
    texts([URI, "referer test", AGENT], "");
    texts([URI, " ", " "], "");
    texts([URI, "a \" b", AGENT], "quote_in_referer");
}

#[test]
fn quotes_with_backslashes_before_them() {
    texts([URI, REFERER, "Mozilla/4.0 (\\\"Windows NT 5.1\\\")"], "quote_in_user_agent");
    texts([URI, REFERER, "trailing\\"], "");
    texts([URI, "trailing\\", AGENT], "");
}

#[test]
fn two_texts_that_could_be_split_elsewhere_are_ambiguous() {
    let line = Spelled::new().with(Field::Referer, "\"a\" \"b\"").with(Field::UserAgent, "\"c\"").line();
    let accepted = accept(&line, "quote_in_user_agent,ambiguous_quote");
    // The agent gets the most text.
    assert_eq!(accepted.get(Field::Referer), Some("a"));
    assert_eq!(accepted.get(Field::UserAgent), Some("b\" \"c"));
}

/// A tail of its own: version id to source region, as a client could write it.
const FORGED: &str = "- FORGED+HOST+ID= SigV2 - QueryString forged.example.com TLSv1 - - -";

#[track_caller]
fn assert_true_tail(accepted: &Accepted<'_>) {
    let line = Spelled::new();
    let end = written_fields(&accepted.record);
    assert_eq!(end[Field::VersionId as usize..], line.fields()[Field::VersionId as usize..]);
}

#[test]
fn a_tail_forged_in_the_agent() {
    for forged in
        [format!("x\" {FORGED}"), format!("x\" {FORGED} \"y"), format!("\" {FORGED}"), "x\" -".into()]
    {
        let line = Spelled::new().with(Field::UserAgent, quoted(&forged)).line();
        let accepted = accept(&line, "quote_in_user_agent,ambiguous_quote");
        assert_eq!(accepted.get(Field::UserAgent), Some(forged.as_str()));
        assert_eq!(accepted.get(Field::Referer), Some(REFERER));
        assert_true_tail(&accepted);
    }
}

#[test]
fn a_tail_forged_in_the_referer() {
    let forged = format!("http://www.example.com/\" \"agent\" {FORGED}");
    let line = Spelled::new().with(Field::Referer, quoted(&forged)).line();
    let accepted = accept(&line, "quote_in_user_agent,ambiguous_quote");
    assert_eq!(accepted.get(Field::Referer), Some("http://www.example.com/"));
    assert_eq!(accepted.get(Field::UserAgent), Some(format!("agent\" {FORGED}\" \"{AGENT}").as_str()));
    assert_true_tail(&accepted);
}

#[test]
fn a_tail_forged_in_the_target() {
    // Fields 10 and later, up to a record's end, between the path and the protocol that the server saw.
    let forged = format!("GET /secret\" 200 - 1 1 1 1 \"-\" \"-\" {FORGED} HTTP/1.1");
    let line = Spelled::new()
        .with(Field::RequestUri, quoted(&forged))
        .with(Field::HttpStatus, "403")
        .with(Field::ErrorCode, "AccessDenied")
        .line();
    let accepted = accept(&line, "quote_in_request_uri,ambiguous_quote");
    assert_eq!(accepted.get(Field::RequestUri), Some(forged.as_str()));
    assert_eq!(accepted.record.http_status, Some(403));
    assert_eq!(accepted.get(Field::ErrorCode), Some("AccessDenied"));
    assert_eq!(accepted.get(Field::UserAgent), Some(AGENT));
    assert_true_tail(&accepted);
}

#[test]
fn fields_forged_behind_a_protocol_are_ambiguous_and_the_tail_stays_true() {
    // Nothing in the line tells a target that holds a protocol and fields from an agent that holds them: the first
    // protocol is believed, as headers are the easier place to forge.
    let forged = "GET /secret HTTP/1.1\" 200 - 1 1 1 1 \"-\" \"x HTTP/1.1";
    let line = Spelled::new().with(Field::RequestUri, quoted(forged)).with(Field::HttpStatus, "403").line();
    let accepted = accept(&line, "quote_in_user_agent,ambiguous_quote");
    assert_eq!(accepted.get(Field::RequestUri), Some("GET /secret HTTP/1.1"));
    assert_true_tail(&accepted);
}

#[test]
fn fields_forged_in_a_header_do_not_change_the_status() {
    let fields = "HTTP/1.1\" 200 - 1 1 1 1 \"-\" \"x";
    for field in [Field::Referer, Field::UserAgent] {
        let line = Spelled::new()
            .with(Field::HttpStatus, "403")
            .with(Field::ErrorCode, "AccessDenied")
            .with(field, quoted(fields))
            .line();
        let record = parse(&line).expect("a record");
        assert_eq!(record.http_status, Some(403), "{field}");
        assert_eq!(record.get(Field::RequestUri), Some(URI.as_bytes()), "{field}");
        assert!(record.quirks.contains(Quirk::AmbiguousQuote), "{field}");
    }
}

#[test]
fn quotes_that_forge_nothing_plausible_are_not_ambiguous() {
    texts([URI, REFERER, "x\" - FORGED+HOST+ID= v2 - - host 1.2"], "quote_in_user_agent");
    texts([URI, REFERER, "x\" 20 - - - - - y"], "quote_in_user_agent");
}

#[test]
fn a_client_cannot_have_its_record_refused() {
    // A whole record in the agent, but of another owner: log objects hold records of one bucket and so of one owner.
    let inner = Spelled::new().with(Field::BucketOwner, "0123abcd").cut(16).line();
    let agent = [b"x ", &inner[..], b" \"y"].concat();
    let line = Spelled::new().with(Field::UserAgent, [b"\"", &agent[..], b"\""].concat()).line();
    let accepted = accept(&line, "quote_in_user_agent,ambiguous_quote");
    assert_eq!(accepted.record.get(Field::UserAgent), Some(&agent[..]));
    assert_true_tail(&accepted);
}

// ---- Damage (format: 1.2) ----

#[test]
fn a_stray_end_is_dropped_from_the_fields() {
    for width in [24, 25, 26, 27] {
        let line = [&Spelled::new().cut(width).line()[..], b"\";"].concat();
        let record = accept(&line, "trailing_junk").record;
        assert_eq!(usize::from(record.width), width);
        assert_eq!(record.get(Field::TlsVersion), Some(&b"TLSv1.3"[..]));
    }
}

#[test]
fn a_word_too_many_before_the_host_id() {
    // Some records of 20 March 2019, the week the fields behind it were introduced.
    for (signature, width) in [("SigV4", 24), ("-", 24), ("SigV4", 25)] {
        let line = Spelled::new()
            .with(Field::Time, "[20/Mar/2019:18:03:10 +0000]")
            .with(Field::VersionId, "- AIDAEXAMPLE7YFFAY")
            .with(Field::SignatureVersion, signature)
            .cut(width)
            .line();
        let accepted = accept(&line, "extra_token");
        assert_eq!(accepted.get(Field::VersionId), None);
        assert_eq!(accepted.get(Field::HostId).map(str::len), Some(76));
        assert_eq!(accepted.get(Field::SignatureVersion), (signature != "-").then_some(signature));
        assert_eq!(accepted.get(Field::TlsVersion), Some("TLSv1.3"));
        assert_eq!(usize::from(accepted.record.width), width);
    }
}

#[test]
fn two_blanks_between_fields_are_tolerated() {
    let fields = Spelled::new();
    for field in Field::ALL.into_iter().skip(1) {
        let line = fields.clone().with(field, [b" ", &fields.fields()[field as usize][..]].concat()).line();
        let record = accept(&line, "double_blank").record;
        assert!(written_fields(&record) == fields.fields(), "{field}");
    }
}

#[test]
fn a_blank_behind_the_last_field_is_tolerated() {
    for width in [17, 18, 24, 25, 26, 27] {
        let time = if width == 17 { "[03/Jun/2009:08:14:55 +0000]" } else { "[10/Feb/2010:09:02:40 +0000]" };
        let line = [&Spelled::new().with(Field::Time, time).cut(width).line()[..], b" "].concat();
        let record = accept(&line, "double_blank").record;
        assert_eq!((usize::from(record.width), record.extra), (width, None));
    }
}

#[test]
fn a_line_cut_anywhere_is_refused_or_a_shorter_record() {
    for line in [Spelled::new(), batch_delete("a/b.txt")] {
        let (fields, bytes) = (line.fields(), line.line());
        for end in 0..bytes.len() {
            let Ok(record) = parse(&bytes[..end]) else { continue };
            accept(&bytes[..end], &record.quirks.names());
            let width = usize::from(record.width);
            assert!(matches!(width, 17 | 18 | 24..=27), "{width} fields of {end} bytes");
            let written = written_fields(&record);
            let last = width - 1;
            assert!(written[..last] == fields[..last], "{end} bytes: other fields");
            // The last field may be cut, as nothing in the line tells.
            assert!(fields[last].starts_with(&written[last]), "{end} bytes: another last field");
            let length = fields[..width].iter().map(|field| field.len() + 1).sum::<usize>() - 1;
            assert_eq!(record.quirks.contains(Quirk::DoubleBlank), end > length, "{end} bytes");
            assert_eq!(record.quirks.contains(Quirk::ShortForAge), width < 24, "{end} bytes");
        }
    }
}

#[test]
fn a_line_with_quotes_cut_anywhere_is_refused_or_printed_back() {
    let agent = format!("\"x \" - \" {FORGED}\"");
    let line =
        Spelled::new().with(Field::RequestUri, "\"GET /\" HTTP/1.1\"").with(Field::UserAgent, agent).line();
    for end in 0..=line.len() {
        if let Ok(record) = parse(&line[..end]) {
            accept(&line[..end], &record.quirks.names());
        }
    }
}

#[test]
fn two_records_on_a_line_are_refused() {
    let time = |width| if width == 17 { "[03/Jun/2009:08:14:55 +0000]" } else { TIME };
    let other = Spelled::new().with(Field::RequestId, "SECOND0000000000");
    for width in [17, 18, 24, 25, 26, 27] {
        for (first, second) in [
            (Spelled::new(), other.clone()),
            (batch_delete("a"), batch_delete("b")),
            (Spelled::new(), batch_delete("b")),
            (batch_delete("a"), other.clone()),
        ] {
            let first = first.with(Field::Time, time(width)).cut(width).line();
            let second = second.with(Field::Time, time(width)).cut(width).line();
            for between in ["", " "] {
                let line = [&first[..], between.as_bytes(), &second[..]].concat();
                let at = first.len() + between.len();
                let found = format!("{}…", &OWNER[..40]);
                let reason = format!(
                    "bucket_owner: expected the end of the line, not another record, found \"{found}\""
                );
                refuse(&line, at, &reason);
            }
        }
    }
}

#[test]
fn a_cut_record_and_the_next_one_on_a_line_are_refused() {
    // Behind the owner: text glued to the front of an owner cannot be told from an owner.
    for (first, second) in [
        (Spelled::new().line(), Spelled::new().line()),
        (batch_delete("a").line(), batch_delete("b").line()),
        (Spelled::new().line(), batch_delete("b").line()),
    ] {
        for cut in OWNER.len() + 1..first.len() {
            refuse_any(&[&first[..cut], &second[..]].concat());
        }
    }
}

#[test]
fn spliced_records_are_refused() {
    let line = Spelled::new();
    let bytes = line.line();
    let requester = offset_of(&line, Field::Requester);
    // The beginning of one and, from the middle of an early field, the end of another.
    for (head, tail) in [
        (requester + 18, OWNER.len() - 10),
        (offset_of(&line, Field::Operation), OWNER.len() + 6),
        (offset_of(&line, Field::Key) + 4, 30),
    ] {
        refuse_any(&[&bytes[..head], &bytes[tail..]].concat());
    }
    // Only the end of one.
    for begin in [requester + 1, offset_of(&line, Field::RemoteIp), offset_of(&line, Field::Operation)] {
        refuse_any(&bytes[begin..]);
    }
}

#[test]
fn a_reject_takes_no_neighbour_with_it() {
    let good = Spelled::new().line();
    let bad = &good[..200];
    let text = [&good[..], b"\n", bad, b"\n", &good[..], b"\n\n", &good[..]].concat();
    let rows = rows_as_lines(&batch_at(&text, 1_000_000));
    let next = good.len() + 1;
    let places = [0, next + 201, 2 * next + 202].map(|at| at + 1_000_000);
    assert_eq!(rows.iter().map(|(at, _)| *at).collect::<Vec<_>>(), places);
    assert!(rows.iter().all(|(_, line)| line.trim_ascii_end() == good));
}

#[test]
fn an_empty_line_is_refused() {
    let reason = |found| format!("bucket_owner: expected a record, not an empty line, found {found}");
    refuse(b"", 0, &reason("the end of the line"));
    refuse(b"\r", 0, &reason("\"\\r\""));
    refuse(b" ", 0, &reason("\" \""));
    refuse(b"   ", 0, &reason("\" \""));
}

#[test]
fn text_that_is_no_record_is_refused() {
    const TIME_TEXT: &str = "time: expected [dd/Mon/yyyy:HH:MM:SS +0000]";
    const OWNER_TEXT: &str = "bucket_owner: expected a word and a blank";
    for (text, offset, expected, found) in [
        ("bad match", 4, "bucket: expected a word and a blank", "match"),
        ("#Version: 1.0", 10, "bucket: expected a word and a blank", "1.0"),
        ("#Fields: date time x-edge-location", 14, TIME_TEXT, "time"),
        ("{\"bucket\":\"b\"}", 0, OWNER_TEXT, "{\\\"bucket\\\":\\\"b\\\"}"),
        ("\u{0}\u{0}\u{0}", 0, OWNER_TEXT, "\\x00\\x00\\x00"),
        (
            "<Error><Code>AccessDenied</Code></Error>",
            0,
            OWNER_TEXT,
            "<Error><Code>AccessDenied</Code></Error>",
        ),
        // Logs of other services and servers.
        ("192.0.2.1 - bob [01/Mar/2026:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326", 12, TIME_TEXT, "bob"),
        (
            "2 111122223333 eni-0a1b 192.0.2.1 198.51.100.1 443 49152 6 10 840 1 2 ACCEPT OK",
            15,
            TIME_TEXT,
            "eni-0a1b",
        ),
        (
            "https 2026-03-01T22:23:00.186641Z app/x/50dc 192.0.2.1:2817 198.51.100.1:80",
            34,
            TIME_TEXT,
            "app/x/50dc",
        ),
    ] {
        refuse(text.as_bytes(), offset, &format!("{expected}, found \"{found}\""));
    }
    // The journal of an S3-compatible server: right up to the address, and then something else.
    let journal = format!("test {BUCKET} {TIME} - REST.PUT.OBJECT key 1409 etag");
    let at = journal.find("1409").expect("it is there");
    refuse(
        journal.as_bytes(),
        at,
        "operation: expected an operation such as REST.GET.OBJECT, found \"1409\"",
    );
    // A web server's: no user, and its time where the address belongs.
    let web = "192.0.2.1 - - [01/Mar/2026:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326 \"-\" \"x\"";
    refuse(web.as_bytes(), 48, "operation: expected an operation such as REST.GET.OBJECT, found \"/a\"");
}

#[test]
fn a_reason_shows_a_few_escaped_bytes() {
    let time = "[01/\u{1b}[31mMar/2026\u{7f}é";
    let line = Spelled::new().with(Field::Time, time).line();
    let reason = parse(&line).expect_err("no time").reason(&line);
    let found = "[01/\\x1b[31mMar/2026\\x7f\\xc3\\xa9";
    assert_eq!(reason, format!("time: expected [dd/Mon/yyyy:HH:MM:SS +0000], found \"{found}\""));
    let line = b"x".repeat(1 << 20);
    let reason = parse(&line).expect_err("no record").reason(&line);
    assert_eq!(
        reason.chars().count(),
        "bucket_owner: expected a word and a blank, found \"…\"".len() - 2 + 40
    );
}

// ---- Bytes (format: 1, 1.2, 1.3) ----

#[test]
fn lines_may_end_in_cr_lf_or_in_nothing() {
    let good = Spelled::new().line();
    let crlf = [&good[..], b"\r"].concat();
    let record = accept(&crlf, "crlf").record;
    assert_eq!(record.get(Field::SourceRegion), Some(&b"us-east-1"[..]));
    accept_text(&good, b"", "no_final_lf");
    accept_text(&crlf, b"", "crlf,no_final_lf");
    for width in [17, 18, 24, 25, 26] {
        let time = if width == 17 { "[03/Jun/2009:08:14:55 +0000]" } else { "[10/Feb/2010:09:02:40 +0000]" };
        let line = Spelled::new().with(Field::Time, time).cut(width).line();
        accept(&[&line[..], b"\r"].concat(), "crlf");
        accept_text(&line, b"", "no_final_lf");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_kept() {
    for field in [Field::Key, Field::RequestUri, Field::Referer, Field::UserAgent, Field::HostHeader] {
        let is_quoted = !matches!(field, Field::Key | Field::HostHeader);
        for bytes in [&b"caf\xe9"[..], b"\xff", b"\xc3", b"\xed\xa0\x80", b"a\xf0\x9f\x98"] {
            let text = if is_quoted { [b"\"", bytes, b"\""].concat() } else { bytes.to_vec() };
            let line = Spelled::new().with(field, text).line();
            let accepted = accept(&line, "not_utf8");
            assert_eq!(accepted.record.get(field), Some(bytes));
            assert_eq!(accepted.column(field.name()), Some(&*String::from_utf8_lossy(bytes)));
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_do_not_touch_other_lines() {
    let good = Spelled::new().with(Field::UserAgent, "\"é\"").line();
    let bad = Spelled::new().with(Field::UserAgent, b"\"\xe9\"").line();
    let text = [&good[..], b"\n", &bad, b"\n", &good, b"\n"].concat();
    let batches = batch_at(&text, 0);
    let batch = &batches[0].batch;
    let agents = [0, 1, 2].map(|row| common::text(batch, "user_agent", row));
    assert_eq!(agents, [Some("é"), Some("\u{fffd}"), Some("é")]);
    let quirks = [0, 1, 2].map(|row| common::text(batch, "quirks", row));
    assert_eq!(quirks, [None, Some("not_utf8"), None]);
    assert_eq!([0, 1, 2].map(|row| raw_line(batch, row).is_some()), [false, true, false]);
    assert_eq!(rows_as_lines(&batches).into_iter().flat_map(|(_, line)| line).collect::<Vec<_>>(), text);
}

#[test]
fn control_bytes_are_kept_and_marked() {
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !b"\n\t".contains(byte)) {
        let agent = [b'"', b'a', byte, b'b', b'"'];
        let line = Spelled::new().with(Field::UserAgent, agent).line();
        let accepted = accept(&line, "control_bytes");
        assert_eq!(accepted.record.get(Field::UserAgent), Some(&agent[1..4]));
    }
    let line = Spelled::new().with(Field::UserAgent, "\"a\tb\"").line();
    accept(&line, "");
    let line = Spelled::new().with(Field::UserAgent, "\"a\rb\"").line();
    accept(&[&line[..], b"\r"].concat(), "crlf,control_bytes");
}

#[test]
fn long_lines_are_legal() {
    for length in [20_000, 1 << 20] {
        let query = "x-amz-security-token=Abc%2B".repeat(length / 27);
        let uri = format!("GET /a?{query} HTTP/1.1");
        texts([&uri, REFERER, AGENT], "");
        let agent = "agent \\ ".repeat(length / 8);
        texts([URI, REFERER, &agent], "");
        texts([URI, &agent, AGENT], "");
    }
    let agent = "\"x\"".repeat(7_000);
    texts([URI, REFERER, &agent], "quote_in_user_agent");
}

#[test]
fn a_million_fields_are_one_record_or_one_reject() {
    const MANY: usize = 1_000_000;
    let known = Spelled::new().line();
    for piece in [" x", " -", " \"\"", " \"", " [", " 200", " Yes"] {
        let line = [&known[..], &piece.as_bytes().repeat(MANY)].concat();
        let accepted = accept(&line, "extra_fields");
        assert!(accepted.record.extra == Some(&line[known.len() + 1..]), "{piece:?}");
    }
    accept(&[&known[..], &b" ".repeat(MANY)].concat(), "double_blank");
    let empty = "bucket_owner: expected a record, not an empty line, found \" \"";
    refuse(&b" ".repeat(MANY), 0, empty);
    refuse(&b"a ".repeat(MANY), 4, "time: expected [dd/Mon/yyyy:HH:MM:SS +0000], found \"a\"");
    // Too many where the end is known to be near.
    let short = Spelled::new().cut(18).line();
    let refused = [&short[..], &b" a".repeat(MANY)].concat();
    refuse(&refused, short.len() + 3, "signature_version: expected SigV2, SigV4 or -, found \"a\"");
}

#[test]
fn hostile_lines_are_read_to_the_end() {
    // Each repeats what makes the careful reading try again. Lines of this length take some milliseconds when that
    // is bounded, and hours when it is not; what is found in them must still be printed back.
    const LENGTH: usize = 1 << 18;
    let head = format!("x {OWNER} {BUCKET} {TIME} 192.0.2.1 - ID REST.GET.OBJECT k");
    let whole = String::from_utf8(Spelled::new().cut(16).line()).expect("UTF-8");
    for piece in [
        "\"",
        "\" ",
        "\" \"",
        "\" - ",
        "\" 200 - - - - - ",
        "\" 200 - - - - - \"",
        " [",
        TIME,
        &format!("{OWNER} {BUCKET} {TIME} "),
        &format!("{head} \""),
        &format!("{head} \"G\" 200 - - - - - \""),
        &format!("{whole} \""),
    ] {
        let text = piece.repeat(LENGTH / piece.len());
        for field in [Field::RequestUri, Field::Referer, Field::UserAgent] {
            let line = Spelled::new().with(field, quoted(&text)).line();
            // Whole, and with its end missing.
            for (line, is_whole) in [(&line[..], true), (&line[..line.len() - 300], false)] {
                let Ok(record) = parse(line) else {
                    // Only what could be two records may be refused when nothing is missing.
                    assert!(!is_whole || piece.contains(OWNER), "refused: {field} of {piece:?}");
                    continue;
                };
                let mut printed = Vec::new();
                record.write_line(&mut printed);
                assert!(record.quirks.is_lossy() || printed == line, "{field} of {piece:?}");
            }
        }
    }
}

// ---- Keys (format: 1.3) ----

/// The columns `key` and `key_logged` of an operation and a key as logged.
#[track_caller]
fn key_columns(operation: &str, logged: &str) -> (Option<String>, Option<String>) {
    let line = Spelled::new().with(Field::Operation, operation).with(Field::Key, logged).line();
    let accepted = accept(&line, "");
    assert_eq!(accepted.get(Field::Key), if logged == "-" { None } else { Some(logged) });
    (accepted.column("key").map(str::to_owned), accepted.column("key_logged").map(str::to_owned))
}

#[test]
fn keys_are_decoded_by_the_rule_of_their_operation() {
    for (operation, logged, key) in [
        ("REST.GET.OBJECT", "date_%253D2021-03-14/x", "date_=2021-03-14/x"),
        ("REST.GET.OBJECT", "%2522", "\""),
        ("REST.GET.OBJECT", "a%2520b%252Bc", "a b+c"),
        ("REST.GET.OBJECT", "%25D0%25BA", "к"),
        ("REST.GET.OBJECT", "foo-%2525Y", "foo-%Y"),
        ("REST.GET.OBJECT", "foo-%252525Y", "foo-%25Y"),
        ("WEBSITE.GET.OBJECT", "a%2520b", "a b"),
        ("REST.COPY.OBJECT", "a%2520b", "a b"),
        ("BATCH.DELETE.OBJECT", "foo-%2525Y", "foo-%25Y"),
        (
            "BATCH.DELETE.OBJECT",
            "Screen+Shot+2019-09-09+at+9.08.44+AM.png",
            "Screen Shot 2019-09-09 at 9.08.44 AM.png",
        ),
        ("BATCH.DELETE.OBJECT", "1%2B1=2", "1+1=2"),
        ("S3.EXPIRE.OBJECT", "a+b%2Bc", "a b+c"),
        ("S3.TRANSITION_GDA.OBJECT", "a%20b", "a b"),
        ("S3.EXPIRE.OBJECT", "%2D", "-"),
        // A line break or a NUL of the key is text in its column.
        ("REST.PUT.OBJECT", "a%250Ab%2500", "a\nb\u{0}"),
    ] {
        let logged = logged.to_owned();
        assert_eq!(key_columns(operation, &logged), (Some(key.to_owned()), Some(logged)), "{operation}");
    }
}

#[test]
fn keys_that_decode_to_themselves_are_stored_once() {
    for (operation, key) in [
        ("REST.GET.OBJECT", "plain/key.txt"),
        ("REST.GET.OBJECT", "/"),
        ("REST.GET.OBJECT", "."),
        ("REST.GET.OBJECT", "/leading"),
        ("REST.GET.OBJECT", "*"),
        ("REST.GET.OBJECT", "a+b"),
        ("REST.GET.OBJECT", "100%"),
        ("REST.GET.OBJECT", "%zz%1"),
        ("BATCH.DELETE.OBJECT", "100%"),
        ("BATCH.DELETE.OBJECT", "кириллица"),
    ] {
        assert_eq!(key_columns(operation, key), (Some(key.to_owned()), None), "{operation}");
    }
    assert_eq!(key_columns("REST.GET.BUCKET", "-"), (None, None));
}

#[test]
fn keys_need_not_decode_to_utf8() {
    for (operation, logged, key) in [
        ("REST.GET.OBJECT", "a%25FF%25FEb", "a\u{fffd}\u{fffd}b"),
        ("BATCH.DELETE.OBJECT", "caf%E9", "caf\u{fffd}"),
    ] {
        let logged = logged.to_owned();
        assert_eq!(key_columns(operation, &logged), (Some(key.to_owned()), Some(logged)));
    }
}

// ---- Servers that speak S3's dialect with an accent ----

/// A record as an S3-compatible server writes it: times with a unit, the Referer without quotes.
fn compatible(referer: &str) -> Spelled {
    Spelled::new()
        .with(Field::BucketOwner, "test")
        .with(Field::Requester, "anonymous")
        .with(Field::RequestId, "4b1f7d3c-2f8e-4f0c-9a57-0c2d5a1e7b90.4161.850345467949934725")
        .with(Field::TotalTimeMs, "-")
        .with(Field::TurnAroundTimeMs, "4ms")
        .with(Field::Referer, referer)
        .cut(26)
}

#[test]
fn a_unit_behind_the_turn_around_time() {
    let line = compatible("-").line();
    assert_eq!(accept(&line, "bare_referer,ms_suffix").record.turn_around_time_ms, Some(4));
    let line = compatible("-").with(Field::TurnAroundTimeMs, "0ms").line();
    assert_eq!(accept(&line, "bare_referer,ms_suffix").record.turn_around_time_ms, Some(0));
    let line = compatible("-").with(Field::TurnAroundTimeMs, "04ms").line();
    accept(&line, "bare_referer,ms_suffix,odd_number");
    for text in ["ms", "4s", "4msms", "-ms"] {
        refuse_any(&compatible("-").with(Field::TurnAroundTimeMs, text).line());
    }
    // Nobody writes it behind the total time.
    let line = compatible("-").with(Field::TotalTimeMs, "4ms");
    let at = offset_of(&line, Field::TotalTimeMs);
    refuse(&line.line(), at, "total_time_ms: expected digits or -, found \"4ms\"");
}

#[test]
fn a_referer_without_quotes() {
    for (referer, quirks) in [
        ("https://www.example.com/", "bare_referer,ms_suffix"),
        ("referer with blanks", "bare_referer,ms_suffix"),
        ("https://www.example.com/?b=\"c d\"&e=%22", "bare_referer,quote_in_referer,ms_suffix"),
        // No header: an empty field, two blanks.
        ("", "bare_referer,ms_suffix"),
    ] {
        let line = compatible(referer).line();
        let accepted = accept(&line, quirks);
        assert_eq!(accepted.get(Field::Referer), Some(referer));
        assert_eq!(accepted.get(Field::UserAgent), Some(AGENT));
    }
}

#[test]
fn a_key_without_encoding() {
    for key in ["odd/with space.txt", "a\"b c", "odd/ - ", "tab\there x", "кириллица и пробел"]
    {
        let line = compatible("-").with(Field::Key, key).line();
        let accepted = accept(&line, "bare_referer,unencoded_key,ms_suffix");
        assert_eq!(accepted.get(Field::Key), Some(key));
        assert_eq!(accepted.get(Field::RequestUri), Some(URI));
        assert_eq!(accepted.record.http_status, Some(200));
    }
    let line = compatible("-").with(Field::Key, "tab\there").line();
    accept(&line, "bare_referer,ms_suffix");
}

#[test]
fn an_agent_beside_a_bare_referer() {
    for (agent, quirks) in [
        ("", "bare_referer,ms_suffix"),
        ("a\tb", "bare_referer,ms_suffix"),
        ("a\"b\\c é", "bare_referer,quote_in_user_agent,ms_suffix"),
    ] {
        let line = compatible("-").with(Field::UserAgent, quoted(agent)).line();
        assert_eq!(accept(&line, quirks).get(Field::UserAgent), Some(agent));
    }
}

#[test]
fn a_key_with_a_line_break_is_two_rejects() {
    let text = [&compatible("-").with(Field::Key, "odd/nl\nx").line()[..], b"\n"].concat();
    let lines: Vec<_> = split_lines(&text).map(|line| line.text).collect();
    assert_eq!(lines.len(), 2);
    let key = offset_of(&compatible("-"), Field::Key);
    refuse(lines[0], key, "key: expected a word and a blank, found \"odd/nl\"");
    refuse(lines[1], 7, "time: expected [dd/Mon/yyyy:HH:MM:SS +0000], found \"/photos/2026/cat.jpg\"");
}

#[test]
fn rows_of_many_buckets_and_days_are_kept_apart_and_all_there() {
    let line = |number: usize| {
        let (bucket, day) = (number * 7 % 12, 1 + number % 3);
        Spelled::new()
            .with(Field::Bucket, format!("amzn-s3-demo-bucket-{bucket}"))
            .with(Field::Time, format!("[{day:02}/Mar/2026:10:00:{:02} +0000]", number % 60))
            .line()
    };
    let text: Vec<u8> = (0..200).flat_map(|number| [line(number), b"\n".to_vec()].concat()).collect();
    let batches = batch_at(&text, 0);
    let printed: Vec<u8> = rows_as_lines(&batches).into_iter().flat_map(|(_, line)| line).collect();
    assert_eq!(printed, text);
    // Eight buckets of a day, as met, and what else there is of each day.
    assert_eq!(batches.len(), 8 + 3);
    for (number, DateBatch { event_date, batch, .. }) in batches.iter().enumerate() {
        let column =
            |name: &str| (0..batch.num_rows()).map(|row| common::text(batch, name, row)).collect::<Vec<_>>();
        let buckets = column("bucket");
        assert!(number >= 8 || buckets.iter().all(|bucket| *bucket == buckets[0]), "{buckets:?}");
        let times =
            batch.column_by_name("time").expect("a column").as_primitive::<TimestampMicrosecondType>();
        let day = |micros: &i64| Some((micros / 86_400_000_000) as i32);
        assert!(times.values().iter().all(|time| day(time) == *event_date));
    }
}

#[test]
fn chunks_that_are_batched_together_keep_their_places() {
    let line = |agent: &str| Spelled::new().with(Field::UserAgent, format!("\"{agent}\"")).line();
    let chunks = [
        [line("one"), b"\n".to_vec(), line("\u{e9}t\u{e9}"), b"\n".to_vec()].concat(),
        [line("one"), b"\n".to_vec()].concat(),
        [b"\xe9\n".to_vec(), line("two"), b"\n".to_vec()].concat(),
    ];
    let mut batcher = Batcher::new();
    let mut offset = 0;
    let mut parser = s3trail::parse::Parser::new();
    let mut record = Record::default();
    for chunk in &chunks {
        let mut rows = batcher.chunk(chunk, 2).expect("the chunk is small");
        let from = rows.provenance(None, "logs/key", 0, offset);
        for line in split_lines(chunk) {
            if parser.parse(line.text, &mut record).is_ok() {
                rows.push(&mut record, &line, &from);
            }
        }
        offset += chunk.len() as u64;
    }
    assert_eq!(batcher.bytes(), chunks.concat().len());
    let batches = batcher.finish().expect("columns fit the schema");
    let [DateBatch { batch, .. }] = &batches[..] else { panic!("one bucket and day are one batch") };
    let agents = [0, 1, 2, 3].map(|row| common::text(batch, "user_agent", row));
    assert_eq!(agents, [Some("one"), Some("\u{e9}t\u{e9}"), Some("one"), Some("two")]);
    let whole = chunks.concat();
    for (at, line) in rows_as_lines(&batches) {
        assert_eq!(line, &whole[at..at + line.len()]);
    }
}
