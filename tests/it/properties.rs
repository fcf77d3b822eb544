//! Properties that hold for any input, and not only for the hazards somebody thought of.
//!
//! Cases are few enough for a build without optimisation (`PROPTEST_CASES=100000` asks for more); the fuzz targets
//! look further. A case that fails is printed and becomes a test with a name in `hazards`: nothing is kept between
//! runs.

use arrow::array::{Array, RecordBatch};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use s3trail::batch::DateBatch;
use s3trail::lines::{split_lines, whole_lines};
use s3trail::record::value::{decode_key, percent_decode, time, write_time};
use s3trail::record::{Field, Quirk, Record, Tail};

use crate::common::{
    BUCKET, OWNER, Spelled, TIME, batch_at, parse, raw_line, rows_as_lines, split_simply, written_fields,
};

fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases, ..config } }
}

/// What every line must do, whatever it is: be refused, or be printed back from its record and from its row.
fn refused_or_printed_back(line: &[u8]) -> Result<bool, TestCaseError> {
    let record = match parse(line) {
        Ok(record) => record,
        Err(reject) => {
            prop_assert!(reject.offset <= line.len());
            let reason = reject.reason(line);
            prop_assert!(reason.starts_with(&reject.to_string()) && !reason.contains(char::is_control));
            return Ok(false);
        }
    };
    let mut written = Vec::new();
    record.write_line(&mut written);
    prop_assert!(record.quirks.is_lossy() || written == line, "the record prints another line");
    for end in [&b"\n"[..], b""] {
        if line.is_empty() && end.is_empty() {
            continue;
        }
        let text = [line, end].concat();
        prop_assert_eq!(rows_as_lines(&batch_at(&text, 0)), vec![(0, text)]);
    }
    Ok(true)
}

// ---- Strategies ----

/// A byte of a line: any but LF.
fn line_byte() -> impl Strategy<Value = u8> {
    any::<u8>().prop_map(|byte| if byte == b'\n' { b' ' } else { byte })
}

/// Text as clients send it, without quotes; LF cannot be sent, and a line is cut at it.
fn plain_text() -> BoxedStrategy<Vec<u8>> {
    prop_oneof!["[ !#-~]{0,60}", "[ !#-~]{0,8}[äк€😀][ !#-~]{0,8}", Just("-".to_owned()), Just(String::new())]
        .prop_map(String::into_bytes)
        .boxed()
}

/// Text as an attacker sends it: pieces of records, quotes, blanks, bytes.
fn hostile_text() -> BoxedStrategy<Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\"".to_vec()),
        2 => Just(b" ".to_vec()),
        2 => Just(b"\" \"".to_vec()),
        1 => Just(b"\"  \"".to_vec()),
        2 => Just(b"\" - ".to_vec()),
        2 => Just(b"\" 200 - 1 2 3 4 \"".to_vec()),
        1 => Just(b"\" - - - - - - - -".to_vec()),
        2 => Just(b" HTTP/1.1\"".to_vec()),
        1 => Just(b"\" 403 AccessDenied 243 - 7 - \"-\" \"x\" -".to_vec()),
        2 => Just(b"\" - HOST+ID= SigV4 - AuthHeader forged.example.com TLSv1.2 - - -".to_vec()),
        1 => Just(format!(" other {BUCKET} {TIME} 192.0.2.9 - ID REST.GET.OBJECT k ").into_bytes()),
        1 => Just(b"\\".to_vec()),
        1 => Just(b"\";".to_vec()),
        1 => Just(b"\r".to_vec()),
        4 => plain_text(),
        2 => prop::collection::vec(line_byte(), 0..6),
    ];
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat()).boxed()
}

/// A word: no blank, no quote, no bracket, not a dash alone.
fn word() -> impl Strategy<Value = Vec<u8>> {
    "[!#-Z^-~]{1,24}".prop_filter("a dash is nothing", |word| word != "-").prop_map(String::into_bytes)
}

fn or_dash(text: impl Strategy<Value = Vec<u8>> + 'static) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![4 => text, 1 => Just(b"-".to_vec())].boxed()
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    or_dash(select(words).prop_map(|word| word.as_bytes().to_vec()))
}

fn integer() -> BoxedStrategy<Vec<u8>> {
    or_dash(prop_oneof![0..10_000i64, 0..=i64::MAX].prop_map(|number| number.to_string().into_bytes()))
}

fn seconds() -> impl Strategy<Value = i64> {
    // 2006 to 2036.
    1_136_073_600..2_082_758_400i64
}

fn quoted(text: Vec<u8>) -> Vec<u8> {
    [b"\"", &text[..], b"\""].concat()
}

/// The three texts in quotes, or as S3 writes rows without a request of their own: all bare, or only the URI.
fn texts(text: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = [Vec<u8>; 3]> {
    let bare = || b"-".to_vec();
    let uri = text.clone().prop_map(|target| [b"GET /", &target[..], b" HTTP/1.1"].concat());
    let uri = prop_oneof![3 => uri, 1 => text.clone()];
    (uri, text.clone(), text, 0..10u8).prop_map(move |(uri, referer, agent, form)| match form {
        0 => [bare(), bare(), bare()],
        1 => [bare(), quoted(referer), quoted(agent)],
        _ => [quoted(uri), quoted(referer), quoted(agent)],
    })
}

/// A line that S3 could write, of any generation, with `text` in the fields that clients control.
fn spelled(text: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Spelled> {
    let operation =
        one_of(&["REST.GET.OBJECT", "BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT", "REST.COPY.PART_GET"]);
    let address = one_of(&["192.0.2.3", "2001:db8::7", "10.1.2.3"]);
    let status = one_of(&["200", "206", "304", "403", "404", "503"]);
    let head =
        (seconds(), address, or_dash(word()), or_dash(word()), operation, or_dash(word()), texts(text));
    let middle = (status, or_dash(word()), integer(), integer(), integer(), integer());
    let tail = (
        or_dash(word()),
        or_dash(word()),
        one_of(&["SigV2", "SigV4"]),
        or_dash(word()),
        one_of(&["AuthHeader", "QueryString", "HtmlForm"]),
        or_dash(word()),
        one_of(&["TLSv1", "TLSv1.2", "TLSV1.2", "TLSv1.3"]),
        or_dash(word()),
        one_of(&["Yes"]),
        or_dash(word()),
    );
    let width = select(&[17usize, 18, 24, 25, 26, 27][..]);
    (head, middle, tail, width).prop_map(|(head, middle, tail, width)| {
        let (seconds, address, requester, id, operation, key, [uri, referer, agent]) = head;
        let (status, error, bytes, size, total, turn_around) = middle;
        let (version, host_id, signature, cipher, authentication, host, tls, arn, acl, region) = tail;
        // Records since mid-2019 have 24 fields and more, which the parser relies on where quotes could be forged.
        let seconds = if width < 24 { seconds.rem_euclid(1_561_939_200) } else { seconds };
        let mut time = Vec::new();
        write_time(Some(seconds), &mut time);
        let fields = [
            OWNER.into(),
            BUCKET.into(),
            time,
            address,
            requester,
            id,
            operation,
            key,
            uri,
            status,
            error,
            bytes,
            size,
            total,
            turn_around,
            referer,
            agent,
            version,
            host_id,
            signature,
            cipher,
            authentication,
            host,
            tls,
            arn,
            acl,
            region,
        ];
        let line = Field::ALL.into_iter().zip(fields);
        line.fold(Spelled::new(), |line, (field, text): (Field, Vec<u8>)| line.with(field, text)).cut(width)
    })
}

/// A text of lines, good and bad, the last perhaps without LF.
fn log_text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => spelled(plain_text()).prop_map(|line| line.line()),
        3 => spelled(hostile_text()).prop_map(|line| line.line()),
        1 => spelled(plain_text()).prop_map(|line| [&line.line()[..], b"\r"].concat()),
        1 => prop::collection::vec(line_byte(), 0..80),
    ];
    (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join(&b'\n');
        if ends {
            text.push(b'\n');
        }
        text
    })
}

// ---- Lines ----

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn lines_put_together_are_the_text(
        text in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..200),
    ) {
        let mut whole = Vec::new();
        for line in split_lines(&text) {
            prop_assert_eq!(line.offset, whole.len());
            prop_assert!(!line.text.contains(&b'\n'));
            whole.extend_from_slice(line.text);
            whole.extend(line.has_lf.then_some(b'\n'));
            prop_assert_eq!(line.offset + line.len_with_lf(), whole.len());
        }
        prop_assert!(whole == text);
        let cut = whole_lines(&text);
        prop_assert!(cut == 0 || text[cut - 1] == b'\n');
        prop_assert!(!text[cut..].contains(&b'\n'));
    }

    #[test]
    fn times_are_read_as_they_are_written(seconds in -62_167_219_200..253_402_300_800i64) {
        let mut written = Vec::new();
        write_time(Some(seconds), &mut written);
        let read = time(&written).map(|time| (time.seconds, time.is_utc));
        prop_assert_eq!(read, Some((seconds, true)));
    }

    #[test]
    fn decoding_a_key_never_grows_it(
        operation in "(BATCH|S3|REST|)\\.?[A-Z]{0,8}",
        key in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), b'0'..=b'9', Just(b'+')], 0..60),
    ) {
        prop_assert!(decode_key(operation.as_bytes(), &key).len() <= key.len());
        prop_assert!(percent_decode(&key, true).len() <= key.len());
    }

    #[test]
    fn encoded_keys_are_decoded(key in prop::collection::vec(any::<u8>(), 0..40)) {
        let encode = |key: &[u8]| -> Vec<u8> {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.*".contains(&b);
            key.iter().flat_map(|b| if plain(*b) { vec![*b] } else { format!("%{b:02X}").into_bytes() }).collect()
        };
        let (once, twice) = (encode(&key), encode(&encode(&key)));
        prop_assert_eq!(&*decode_key(b"REST.PUT.OBJECT", &twice), &key[..]);
        prop_assert_eq!(&*decode_key(b"S3.EXPIRE.OBJECT", &once), &key[..]);
        let form = String::from_utf8(once).expect("ASCII").replace("%20", "+");
        prop_assert_eq!(&*decode_key(b"BATCH.DELETE.OBJECT", form.as_bytes()), &key[..]);
    }
}

// ---- Records ----

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn any_bytes_are_refused_or_printed_back(line in prop::collection::vec(line_byte(), 0..300)) {
        refused_or_printed_back(&line)?;
    }

    #[test]
    fn pieces_of_records_are_refused_or_printed_back(
        first in spelled(hostile_text()),
        second in spelled(hostile_text()),
        cuts in any::<[prop::sample::Index; 3]>(),
        between in hostile_text(),
    ) {
        let (first, second) = (first.line(), second.line());
        let [end, begin, length] = cuts;
        let begin = begin.index(second.len());
        let piece = &second[begin..begin + length.index(second.len() - begin) + 1];
        let line = [&first[..end.index(first.len())], &between, piece].concat();
        refused_or_printed_back(&line)?;
    }

    #[test]
    fn a_record_with_any_text_of_a_client_is_accepted_with_its_true_ends(line in spelled(hostile_text())) {
        let bytes = line.line();
        prop_assert!(refused_or_printed_back(&bytes)?, "refused: {}", bytes.escape_ascii());
        let record = parse(&bytes).expect("it was accepted");
        let (written, fields) = (written_fields(&record), line.fields());
        prop_assert_eq!(written.len(), fields.len());
        let (uri, referer) = (Field::RequestUri as usize, Field::Referer as usize);
        prop_assert!(written[..uri] == fields[..uri], "fields before the request-URI");
        prop_assert!(written[referer + 2..] == fields[referer + 2..], "fields behind the User-Agent");
        // What the client wrote is all there, however it was divided, and doubts are marked.
        let sure = !record.quirks.contains(Quirk::AmbiguousQuote);
        prop_assert!(!sure || written == fields, "another reading, not marked: {}", bytes.escape_ascii());
    }

    #[test]
    fn the_slow_twin_agrees_on_plain_records(line in spelled(plain_text())) {
        let bytes = line.line();
        let record = parse(&bytes);
        let Ok(record) = record else { return Err(TestCaseError::fail("refused")) };
        let twin = split_simply(&bytes).expect("plain lines can be split");
        prop_assert!(twin == line.fields());
        prop_assert!(written_fields(&record) == twin);
        prop_assert!(record.quirks.iter().all(|quirk| matches!(
            quirk,
            Quirk::BareRequestUri | Quirk::BareReferer | Quirk::BareUserAgent | Quirk::ShortForAge
        )));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_in_the_raw_line(
        line in spelled(plain_text()),
        byte in 0x80..=0xffu8,
        place in any::<prop::sample::Index>(),
    ) {
        let mut line = line.line();
        // Into the word of some field, and not between the characters that hold the fields together.
        let places: Vec<usize> = (0..line.len()).filter(|at| line[*at].is_ascii_lowercase()).collect();
        if places.is_empty() {
            return Ok(());
        }
        line[places[place.index(places.len())]] = byte;
        if refused_or_printed_back(&line)? {
            let text = [&line[..], b"\n"].concat();
            let batch = &batch_at(&text, 0)[0].batch;
            prop_assert_eq!(raw_line(batch, 0), std::str::from_utf8(&line).is_err().then_some(&line[..]));
        }
    }

    #[test]
    fn a_record_that_is_used_again_forgets_the_line_before(
        lines in prop::collection::vec(spelled(hostile_text()), 2..5),
    ) {
        let lines: Vec<Vec<u8>> = lines.iter().map(Spelled::line).collect();
        let mut again = Record::default();
        for line in &lines {
            let used = s3trail::parse::parse_line(line, &mut again).map(|()| format!("{again:?}"));
            let fresh = parse(line).map(|record| format!("{record:?}"));
            prop_assert_eq!(used, fresh);
        }
    }

    #[test]
    fn a_parser_that_remembers_reads_what_each_line_says(
        lines in prop::collection::vec(spelled(hostile_text()), 1..5),
        order in prop::collection::vec((any::<Index>(), prop::option::weighted(0.2, (any::<Index>(), select(&b"\" -Sx"[..])))), 1..12),
    ) {
        let lines: Vec<Vec<u8>> = lines.iter().map(Spelled::line).collect();
        let lines: Vec<Vec<u8>> = order.iter().map(|(line, odd)| {
            let mut line = lines[line.index(lines.len())].clone();
            if let Some((place, byte)) = odd {
                let place = place.index(line.len());
                line[place] = *byte;
            }
            line
        }).collect();
        let mut parser = s3trail::parse::Parser::new();
        let mut tails: Vec<(Tail, &[u8])> = Vec::new();
        let mut record = Record::default();
        for line in &lines {
            let remembered = parser.parse(line, &mut record).map(|()| record.clone());
            if let Ok(Record { tail: Some(tail), text, .. }) = &remembered
                && let Some(host_id) = text[Field::HostId as usize]
            {
                let behind = host_id.as_ptr() as usize - line.as_ptr() as usize + host_id.len();
                let text = line[behind..].strip_suffix(b"\r").unwrap_or(&line[behind..]);
                prop_assert!(tails.iter().all(|(other, known)| (other == tail) == (*known == text)));
                tails.push((*tail, text));
            }
            let shown = |record: Record<'_>| format!("{:?}", Record { tail: None, ..record });
            prop_assert_eq!(remembered.map(shown), parse(line).map(shown));
        }
    }
}

// ---- Batches ----

/// All rows, in the order of their dates and of their places.
fn rows(batches: &[DateBatch]) -> Vec<(Option<i32>, RecordBatch)> {
    let mut dates: Vec<Option<i32>> = batches.iter().map(|dated| dated.event_date).collect();
    dates.sort_unstable();
    dates.dedup();
    let of_date = |date: Option<i32>| {
        let of_date = batches.iter().filter(|dated| dated.event_date == date).map(|dated| &dated.batch);
        let schema = s3trail::batch::schema::batch_schema();
        let rows = concat_batches(&schema, of_date).expect("one schema");
        let places = rows.column_by_name("log_offset").expect("a column of access_logs");
        let order = sort_to_indices(places, None, None).expect("numbers");
        (date, take_record_batch(&rows, &order).expect("places of rows"))
    };
    dates.into_iter().map(of_date).collect()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn chunks_cut_anywhere_give_the_rows_of_the_whole(
        text in log_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        // As the ingest does: what is behind the last LF waits for the next chunk.
        let mut batches = Vec::new();
        let mut begin = 0;
        for cut in cuts {
            let end = if cut == text.len() { cut } else { begin + whole_lines(&text[begin..cut.max(begin)]) };
            batches.extend(batch_at(&text[begin..end], begin as u64));
            begin = end;
        }
        prop_assert_eq!(rows(&batches), rows(&batch_at(&text, 0)));
    }

    #[test]
    fn every_record_of_a_text_is_a_row_that_prints_it(text in log_text()) {
        let batches = batch_at(&text, 0);
        let expected: Vec<_> = split_lines(&text)
            .filter(|line| parse(line.text).is_ok())
            .map(|line| (line.offset, text[line.offset..line.offset + line.len_with_lf()].to_vec()))
            .collect();
        prop_assert_eq!(rows_as_lines(&batches), expected);
        for batch in batches.iter().map(|dated| &dated.batch) {
            for column in batch.columns() {
                prop_assert_eq!(column.len(), batch.num_rows());
                column.to_data().validate_full().expect("the arrays are sound");
            }
            for row in 0..batch.num_rows() {
                prop_assert_ne!(crate::common::text(batch, "key_logged", row), Some("-"));
                let same = crate::common::text(batch, "key", row) == crate::common::text(batch, "key_logged", row);
                prop_assert!(!same || batch["key"].is_null(row), "key_logged only where it differs");
            }
        }
        let bytes: u64 = batches.iter().map(|dated| dated.text_bytes).sum();
        prop_assert_eq!(bytes, rows_as_lines(&batches).iter().map(|(_, line)| line.len() as u64).sum::<u64>());
    }
}
