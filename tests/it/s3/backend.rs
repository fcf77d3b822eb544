//! S3's operations over the state: what the trait of `s3s` asks for, no more than the tests use, as AWS answers it.
//!
//! Knows nothing of signatures, regions, throttling and refusals: those come first, in [`super::server`].

use std::time::SystemTime;

use async_trait::async_trait;
use s3s::dto::{self, Checksum, ETagCondition};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::pieces::{
    collect, copied_from, delete, etag, header_condition, joined, list, may_read, may_write, modified,
    precondition_failed, sent, upload, verified,
};
use super::store::{Bucket, Object, PAGE_LIMIT, Shared, Upload};

/// The S3 that `s3s` serves.
#[derive(Debug, Clone)]
pub struct Backend(pub Shared);

fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

/// The checksums that a request or a part names.
macro_rules! checksums_of {
    ($input:expr) => {
        Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        }
    };
}

/// Writes `$checksum` to the fields of an answer.
macro_rules! set_checksums {
    ($output:expr, $checksum:expr) => {{
        let checksum: Checksum = $checksum;
        $output.checksum_crc32 = checksum.checksum_crc32;
        $output.checksum_crc32c = checksum.checksum_crc32c;
        $output.checksum_crc64nvme = checksum.checksum_crc64nvme;
        $output.checksum_sha1 = checksum.checksum_sha1;
        $output.checksum_sha256 = checksum.checksum_sha256;
        $output.checksum_type = checksum.checksum_type;
    }};
}

#[async_trait]
impl S3 for Backend {
    async fn list_buckets(
        &self,
        _: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let state = self.0.lock();
        let buckets = state.buckets.iter().map(|(name, bucket)| dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(bucket.created.into()),
            bucket_region: Some(bucket.region.clone()),
        });
        answer(dto::ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
    }

    async fn create_bucket(
        &self,
        req: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        let input = req.input;
        let constraint = input.create_bucket_configuration.and_then(|c| c.location_constraint);
        let region = constraint.map_or_else(|| "us-east-1".to_owned(), |c| c.as_str().to_owned());
        let mut state = self.0.lock();
        if state.buckets.contains_key(&input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "{}", input.bucket));
        }
        let location = Some(format!("/{}", input.bucket));
        state.buckets.insert(input.bucket, Bucket::new(&region));
        answer(dto::CreateBucketOutput { location })
    }

    async fn delete_bucket(
        &self,
        req: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        let mut state = self.0.lock();
        if !state.bucket(&req.input.bucket)?.objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        state.buckets.remove(&req.input.bucket);
        answer(dto::DeleteBucketOutput {})
    }

    async fn head_bucket(
        &self,
        req: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        let state = self.0.lock();
        let bucket_region = Some(state.bucket(&req.input.bucket)?.region.clone());
        answer(dto::HeadBucketOutput { bucket_region, ..Default::default() })
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        let state = self.0.lock();
        let region = &state.bucket(&req.input.bucket)?.region;
        // The oldest region has no name here.
        let location_constraint = (region != "us-east-1").then(|| region.clone().into());
        answer(dto::GetBucketLocationOutput { location_constraint })
    }

    async fn get_bucket_logging(
        &self,
        req: S3Request<dto::GetBucketLoggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketLoggingOutput>> {
        let logging_enabled = self.0.lock().bucket(&req.input.bucket)?.logging.clone();
        answer(dto::GetBucketLoggingOutput { logging_enabled })
    }

    async fn put_bucket_logging(
        &self,
        req: S3Request<dto::PutBucketLoggingInput>,
    ) -> S3Result<S3Response<dto::PutBucketLoggingOutput>> {
        let logging = req.input.bucket_logging_status.logging_enabled;
        let mut state = self.0.lock();
        if let Some(logging) = &logging {
            let region = &state.bucket(&req.input.bucket)?.region;
            if state.buckets.get(&logging.target_bucket).is_none_or(|target| target.region != *region) {
                return Err(s3_error!(
                    InvalidTargetBucketForLogging,
                    "The target bucket for logging does not exist or is in another region"
                ));
            }
        }
        state.bucket_mut(&req.input.bucket)?.logging = logging;
        answer(dto::PutBucketLoggingOutput {})
    }

    async fn get_bucket_policy(
        &self,
        req: S3Request<dto::GetBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyOutput>> {
        let policy = self.0.lock().bucket(&req.input.bucket)?.policy.clone();
        match policy {
            Some(policy) => answer(dto::GetBucketPolicyOutput { policy: Some(policy) }),
            None => Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist")),
        }
    }

    async fn put_bucket_policy(
        &self,
        req: S3Request<dto::PutBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::PutBucketPolicyOutput>> {
        self.0.lock().bucket_mut(&req.input.bucket)?.policy = Some(req.input.policy);
        answer(dto::PutBucketPolicyOutput {})
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
        let status = self.0.lock().bucket(&req.input.bucket)?.versioning.clone();
        answer(dto::GetBucketVersioningOutput { status, mfa_delete: None })
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<dto::PutBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::PutBucketVersioningOutput>> {
        let status = req.input.versioning_configuration.status;
        self.0.lock().bucket_mut(&req.input.bucket)?.versioning = status;
        answer(dto::PutBucketVersioningOutput {})
    }

    async fn get_bucket_request_payment(
        &self,
        req: S3Request<dto::GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<dto::GetBucketRequestPaymentOutput>> {
        let requester = self.0.lock().bucket(&req.input.bucket)?.requester_pays;
        let payer = if requester { dto::Payer::REQUESTER } else { dto::Payer::BUCKET_OWNER };
        answer(dto::GetBucketRequestPaymentOutput { payer: Some(dto::Payer::from_static(payer)) })
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        answer(list(&mut self.0.lock(), &req.input)?)
    }

    async fn get_object(
        &self,
        req: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = req.input;
        let mut state = self.0.lock();
        let bucket = state.bucket_mut(&input.bucket)?;
        let damage = bucket.damage.get(&input.key).copied();
        let no_checksums = bucket.no_checksums;
        if let Some(object) = bucket.before_get.remove(&input.key) {
            bucket.objects.insert(input.key.clone(), object);
        }
        let object = bucket.read(&input.key)?;
        may_read(object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let whole = object.body.len() as u64;
        let mut output = dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_type: object.content_type.clone(),
            e_tag: etag(object),
            last_modified: modified(object),
            metadata: object.metadata.clone(),
            ..Default::default()
        };
        let body = match input.range {
            Some(range) => {
                let range = range.check(whole)?;
                output.content_range = Some(format!("bytes {}-{}/{whole}", range.start, range.end - 1));
                object.body.slice(range.start as usize..range.end as usize)
            }
            None => {
                if input.checksum_mode.is_some() && !no_checksums {
                    set_checksums!(output, object.checksum.clone());
                }
                object.body.clone()
            }
        };
        output.content_length = i64::try_from(body.len()).ok();
        output.body = Some(sent(body, damage));
        if let Some(object) = bucket.after_get.remove(&input.key) {
            bucket.objects.insert(input.key, object);
        }
        answer(output)
    }

    async fn head_object(
        &self,
        req: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = req.input;
        let mut state = self.0.lock();
        let bucket = state.bucket_mut(&input.bucket)?;
        let no_checksums = bucket.no_checksums;
        let object = bucket.read(&input.key)?;
        may_read(object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let mut output = dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.body.len()).ok(),
            content_type: object.content_type.clone(),
            e_tag: etag(object),
            last_modified: modified(object),
            metadata: object.metadata.clone(),
            ..Default::default()
        };
        if input.checksum_mode.is_some() && !no_checksums {
            set_checksums!(output, object.checksum.clone());
        }
        answer(output)
    }

    async fn put_object(
        &self,
        req: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = req.input;
        let given = checksums_of!(input);
        let body = collect(input.body).await?;
        let mut object = verified(body, given, req.trailing_headers.as_ref())?;
        object.content_type = input.content_type;
        object.metadata = input.metadata;
        let mut state = self.0.lock();
        let bucket = state.bucket_mut(&input.bucket)?;
        let old = bucket.objects.get(&input.key);
        may_write(old, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let mut output = dto::PutObjectOutput { e_tag: etag(&object), ..Default::default() };
        set_checksums!(output, object.checksum.clone());
        bucket.objects.insert(input.key, object);
        answer(output)
    }

    async fn copy_object(
        &self,
        req: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        // Not among the fields of this version's input.
        let if_none_match = header_condition(&req.headers, "if-none-match")?;
        let if_match = header_condition(&req.headers, "if-match")?;
        let input = req.input;
        let mut state = self.0.lock();
        let mut object = copied_from(&mut state, &input.copy_source)?;
        may_read(&object, input.copy_source_if_match.as_ref(), input.copy_source_if_none_match.as_ref())
            .map_err(|_| precondition_failed())?;
        // A copy is one part, however many the original had.
        let fresh = Object::new(object.body.clone(), SystemTime::now());
        (object.etag, object.last_modified) = (fresh.etag, fresh.last_modified);
        let bucket = state.bucket_mut(&input.bucket)?;
        may_write(bucket.objects.get(&input.key), if_match.as_ref(), if_none_match.as_ref())?;
        let result = dto::CopyObjectResult {
            e_tag: etag(&object),
            last_modified: modified(&object),
            ..Default::default()
        };
        bucket.objects.insert(input.key, object);
        answer(dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
    }

    async fn delete_object(
        &self,
        req: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = req.input;
        delete(self.0.lock().bucket_mut(&input.bucket)?, &input.key, input.if_match.as_ref())?;
        answer(dto::DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        req: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let input = req.input;
        if input.delete.objects.len() > PAGE_LIMIT {
            return Err(s3_error!(MalformedXML, "more than {PAGE_LIMIT} keys"));
        }
        let quiet = input.delete.quiet == Some(true);
        let mut state = self.0.lock();
        let bucket = state.bucket_mut(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for wanted in input.delete.objects {
            let condition = wanted.e_tag.map(ETagCondition::ETag);
            match delete(bucket, &wanted.key, condition.as_ref()) {
                Ok(()) if quiet => {}
                Ok(()) => {
                    deleted.push(dto::DeletedObject { key: Some(wanted.key), ..Default::default() });
                }
                Err(error) => errors.push(dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(wanted.key),
                    ..Default::default()
                }),
            }
        }
        let (deleted, errors) = (Some(deleted), Some(errors));
        answer(dto::DeleteObjectsOutput { deleted, errors, ..Default::default() })
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let dto::CreateMultipartUploadInput { bucket, key, .. } = req.input;
        let mut state = self.0.lock();
        state.bucket(&bucket)?;
        let id = format!("upload-{}", state.serial());
        let upload = Upload { bucket: bucket.clone(), key: key.clone(), parts: Default::default() };
        state.uploads.insert(id.clone(), upload);
        answer(dto::CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    async fn upload_part(
        &self,
        req: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let input = req.input;
        let given = checksums_of!(input);
        let body = collect(input.body).await?;
        let part = verified(body, given, req.trailing_headers.as_ref())?;
        let mut state = self.0.lock();
        let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
        let e_tag = etag(&part);
        upload.parts.insert(input.part_number, part);
        answer(dto::UploadPartOutput { e_tag, ..Default::default() })
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let input = req.input;
        if input.copy_source_range.is_some() {
            return Err(s3_error!(NotImplemented, "a part copied from a range"));
        }
        let mut state = self.0.lock();
        let source = copied_from(&mut state, &input.copy_source)?;
        let part = Object::new(source.body, SystemTime::now());
        let result =
            dto::CopyPartResult { e_tag: etag(&part), last_modified: modified(&part), ..Default::default() };
        let upload = upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
        upload.parts.insert(input.part_number, part);
        answer(dto::UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = req.input;
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut state = self.0.lock();
        let object = joined(upload(&mut state, &input.upload_id, &input.bucket, &input.key)?, &listed)?;
        let bucket = state.bucket_mut(&input.bucket)?;
        let old = bucket.objects.get(&input.key);
        may_write(old, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let e_tag = etag(&object);
        bucket.objects.insert(input.key.clone(), object);
        state.uploads.remove(&input.upload_id);
        answer(dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..Default::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = req.input;
        let mut state = self.0.lock();
        upload(&mut state, &input.upload_id, &input.bucket, &input.key)?;
        state.uploads.remove(&input.upload_id);
        answer(dto::AbortMultipartUploadOutput::default())
    }
}
