//! What the operations are made of: conditions, bodies and their checksums, listings, parts.

use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{self, Checksum, ETag, ETagCondition};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::store::{Bucket, Damage, Object, PAGE_LIMIT, Page, State, Upload, checksum, hex, token_place};

/// Least size of every part but the last.
const PART_MIN: usize = 5 << 20;

pub fn etag(object: &Object) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

pub fn modified(object: &Object) -> Option<dto::Timestamp> {
    Some(object.last_modified.into())
}

fn fits(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

/// The conditions of a write: PutObject, CopyObject and CompleteMultipartUpload share them.
pub fn may_write(
    old: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let refused = || Err(precondition_failed());
    match (if_none_match, old) {
        (Some(condition), _) if !condition.is_any() => {
            return Err(s3_error!(NotImplemented, "If-None-Match of a write is * or nothing"));
        }
        (Some(_), Some(_)) => return refused(),
        _ => {}
    }
    match (if_match, old) {
        (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        (Some(condition), Some(old)) if !fits(condition, &old.etag) => refused(),
        _ => Ok(()),
    }
}

/// The conditions of a read, in S3's order.
pub fn may_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if if_match.is_some_and(|condition| !fits(condition, &object.etag)) {
        return Err(precondition_failed());
    }
    if if_none_match.is_some_and(|condition| fits(condition, &object.etag)) {
        return Err(S3ErrorCode::NotModified.into());
    }
    Ok(())
}

pub fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

pub fn header_condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    ETagCondition::parse_http_header(value.as_bytes())
        .map(Some)
        .map_err(|e| s3_error!(e, InvalidArgument, "{name}"))
}

/// The whole body; refuses one that is shorter than promised or does not fit its signature.
pub async fn collect(body: Option<dto::StreamingBlob>) -> S3Result<Bytes> {
    let mut all = Vec::new();
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece.map_err(|e| S3Error::with_source(S3ErrorCode::IncompleteBody, e))?);
        }
    }
    Ok(all.into())
}

/// An object of `body`, whose checksums must be those given in the request or behind its body.
pub fn verified(body: Bytes, mut given: Checksum, trailers: Option<&TrailingHeaders>) -> S3Result<Object> {
    let trailers = trailers.and_then(TrailingHeaders::take).unwrap_or_default();
    let trailer = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    given.checksum_crc32 = given.checksum_crc32.or_else(|| trailer("x-amz-checksum-crc32"));
    given.checksum_crc32c = given.checksum_crc32c.or_else(|| trailer("x-amz-checksum-crc32c"));
    given.checksum_crc64nvme = given.checksum_crc64nvme.or_else(|| trailer("x-amz-checksum-crc64nvme"));
    given.checksum_sha1 = given.checksum_sha1.or_else(|| trailer("x-amz-checksum-sha1"));
    given.checksum_sha256 = given.checksum_sha256.or_else(|| trailer("x-amz-checksum-sha256"));
    let mut object = Object::new(body, SystemTime::now());
    if given == Checksum::default() {
        return Ok(object);
    }
    let hasher = ChecksumHasher {
        crc32: given.checksum_crc32.is_some().then(Default::default),
        crc32c: given.checksum_crc32c.is_some().then(Default::default),
        crc64nvme: given.checksum_crc64nvme.is_some().then(Default::default),
        sha1: given.checksum_sha1.is_some().then(Default::default),
        sha256: given.checksum_sha256.is_some().then(Default::default),
    };
    object.checksum = checksum(hasher, &object.body);
    given.checksum_type.clone_from(&object.checksum.checksum_type);
    if given != object.checksum {
        return Err(s3_error!(BadDigest, "The checksum you specified did not match what we received."));
    }
    Ok(object)
}

/// What is sent of `body`, which is part or whole of a damaged or undamaged object.
pub fn sent(body: Bytes, damage: Option<Damage>) -> dto::StreamingBlob {
    match damage {
        Some(Damage::Corrupted) if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            dto::StreamingBlob::from(Body::from(Bytes::from(bytes)))
        }
        Some(Damage::Truncated) => {
            let half = body.slice(..body.len() / 2);
            let cut = async {
                // Lets the server send the half before it gives the connection up.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("truncated on purpose"))
            };
            dto::StreamingBlob::wrap(stream::once(async { Ok(half) }).chain(stream::once(cut)))
        }
        _ => dto::StreamingBlob::from(Body::from(body)),
    }
}

/// A key as it is listed with `encoding-type=url`.
fn listed(text: &str, encoding: Option<&dto::EncodingType>) -> String {
    if encoding.is_none() {
        return text.to_owned();
    }
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn entry(key: &str, object: &Object, encoding: Option<&dto::EncodingType>) -> dto::Object {
    dto::Object {
        key: Some(listed(key, encoding)),
        e_tag: etag(object),
        last_modified: modified(object),
        size: i64::try_from(object.body.len()).ok(),
        storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
        ..Default::default()
    }
}

/// A page of a listing, as it was asked for.
pub fn list(state: &mut State, input: &dto::ListObjectsV2Input) -> S3Result<dto::ListObjectsV2Output> {
    let asked = match input.max_keys {
        Some(keys) => usize::try_from(keys).map_err(|e| s3_error!(e, InvalidArgument, "max-keys"))?,
        None => PAGE_LIMIT,
    };
    let asked = asked.min(PAGE_LIMIT);
    // The token wins over StartAfter.
    let from = match &input.continuation_token {
        Some(token) => token_place(token)
            .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
        None => input.start_after.clone().unwrap_or_default(),
    };
    let size = state.page_size(asked);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let bucket = state.bucket(&input.bucket)?;
    let page = if asked == 0 { Page::default() } else { bucket.page(prefix, delimiter, &from, size) };
    let encoding = input.encoding_type.as_ref();
    let contents: Vec<_> = page.objects.iter().map(|(key, object)| entry(key, object, encoding)).collect();
    let prefixes: Vec<_> = page
        .prefixes
        .iter()
        .map(|prefix| dto::CommonPrefix { prefix: Some(listed(prefix, encoding)) })
        .collect();
    let next = page.next;
    state.listed += contents.len() + prefixes.len();
    Ok(dto::ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(listed(prefix, encoding)),
        delimiter: delimiter.map(|delimiter| listed(delimiter, encoding)),
        max_keys: i32::try_from(asked).ok(),
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        continuation_token: input.continuation_token.clone(),
        start_after: input.start_after.as_deref().map(|key| listed(key, encoding)),
        encoding_type: input.encoding_type.clone(),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.map(|place| state.token(&place)),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..Default::default()
    })
}

pub fn copied_from(state: &mut State, source: &dto::CopySource) -> S3Result<Object> {
    let dto::CopySource::Bucket { bucket, key, .. } = source else {
        return Err(s3_error!(NotImplemented, "a copy from an access point"));
    };
    Ok(state.bucket_mut(bucket)?.read(key)?.clone())
}

pub fn upload<'a>(state: &'a mut State, id: &str, bucket: &str, key: &str) -> S3Result<&'a mut Upload> {
    state
        .uploads
        .get_mut(id)
        .filter(|upload| upload.bucket == bucket && upload.key == key)
        .ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist."))
}

/// The object that the listed parts of `upload` make.
pub fn joined(upload: &Upload, listed: &[dto::CompletedPart]) -> S3Result<Object> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts"));
    }
    let mut body = Vec::new();
    let mut digests = Vec::new();
    let mut last = 0;
    for (at, part) in listed.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        if number <= last {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
        }
        last = number;
        let fits = |stored: &&Object| part.e_tag.as_ref().is_some_and(|etag| etag.value() == stored.etag);
        let Some(stored) = upload.parts.get(&number).filter(fits) else {
            return Err(s3_error!(InvalidPart, "part {number}"));
        };
        if at + 1 < listed.len() && stored.body.len() < PART_MIN {
            return Err(s3_error!(EntityTooSmall, "part {number}"));
        }
        digests.extend_from_slice(&Md5::checksum(&stored.body));
        body.extend_from_slice(&stored.body);
    }
    let mut object = Object::new(body.into(), SystemTime::now());
    object.etag = format!("{}-{}", hex(&Md5::checksum(&digests)), listed.len());
    Ok(object)
}

pub fn delete(bucket: &mut Bucket, key: &str, if_match: Option<&ETagCondition>) -> S3Result<()> {
    if let Some(condition) = if_match {
        match bucket.objects.get(key) {
            Some(old) if fits(condition, &old.etag) => {}
            Some(_) => return Err(precondition_failed()),
            None => return Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        }
    }
    bucket.objects.remove(key);
    Ok(())
}
