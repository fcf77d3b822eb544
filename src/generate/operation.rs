//! The operations that are generated, by AWS's names.

macro_rules! operations {
    ($($variant:ident = $name:literal,)*) => {
        /// An operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Operation { $(#[doc = $name] $variant,)* }

        impl Operation {
            /// AWS's names, in the order of the variants.
            pub(super) const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

operations! {
    GetObject = "REST.GET.OBJECT",
    HeadObject = "REST.HEAD.OBJECT",
    PutObject = "REST.PUT.OBJECT",
    PostObject = "REST.POST.OBJECT",
    DeleteObject = "REST.DELETE.OBJECT",
    MultiDelete = "REST.POST.MULTI_OBJECT_DELETE",
    BatchDelete = "BATCH.DELETE.OBJECT",
    CopyObject = "REST.COPY.OBJECT",
    CopyObjectGet = "REST.COPY.OBJECT_GET",
    CopyPart = "REST.COPY.PART",
    CopyPartGet = "REST.COPY.PART_GET",
    CreateUpload = "REST.POST.UPLOADS",
    PutPart = "REST.PUT.PART",
    CompleteUpload = "REST.POST.UPLOAD",
    AbortUpload = "REST.DELETE.UPLOAD",
    ListUploads = "REST.GET.UPLOADS",
    ListBucket = "REST.GET.BUCKET",
    HeadBucket = "REST.HEAD.BUCKET",
    ListVersions = "REST.GET.BUCKETVERSIONS",
    GetObjectTagging = "REST.GET.OBJECT_TAGGING",
    PutObjectTagging = "REST.PUT.OBJECT_TAGGING",
    PostRestore = "REST.POST.RESTORE",
    PostSelect = "REST.POST.SELECT",
    Preflight = "REST.OPTIONS.PREFLIGHT",
    WebsiteGet = "WEBSITE.GET.OBJECT",
    WebsiteHead = "WEBSITE.HEAD.OBJECT",
    GetLocation = "REST.GET.LOCATION",
    GetAcl = "REST.GET.ACL",
    PutAcl = "REST.PUT.ACL",
    GetPolicy = "REST.GET.BUCKETPOLICY",
    PutPolicy = "REST.PUT.BUCKETPOLICY",
    DeletePolicy = "REST.DELETE.BUCKETPOLICY",
    GetPolicyStatus = "REST.GET.POLICY_STATUS",
    GetPublicAccessBlock = "REST.GET.PUBLIC_ACCESS_BLOCK",
    PutPublicAccessBlock = "REST.PUT.PUBLIC_ACCESS_BLOCK",
    GetOwnership = "REST.GET.OWNERSHIP_CONTROLS",
    GetLogging = "REST.GET.LOGGING_STATUS",
    PutLogging = "REST.PUT.LOGGING_STATUS",
    GetVersioning = "REST.GET.VERSIONING",
    PutVersioning = "REST.PUT.VERSIONING",
    GetEncryption = "REST.GET.ENCRYPTION",
    GetCors = "REST.GET.CORS",
    PutCors = "REST.PUT.CORS",
    GetLifecycle = "REST.GET.LIFECYCLE",
    PutLifecycle = "REST.PUT.LIFECYCLE",
    GetReplication = "REST.GET.REPLICATION",
    GetNotification = "REST.GET.NOTIFICATION",
    PutNotification = "REST.PUT.NOTIFICATION",
    GetTagging = "REST.GET.TAGGING",
    GetObjectLock = "REST.GET.OBJECT_LOCK_CONFIGURATION",
    GetAccelerate = "REST.GET.ACCELERATE",
    GetRequestPayment = "REST.GET.REQUEST_PAYMENT",
    GetWebsite = "REST.GET.WEBSITE",
    GetInventory = "REST.GET.INVENTORY",
    Expire = "S3.EXPIRE.OBJECT",
    CreateDeleteMarker = "S3.CREATE.DELETEMARKER",
    Transition = "S3.TRANSITION.OBJECT",
    TransitionStandardIa = "S3.TRANSITION_SIA.OBJECT",
    TransitionOneZoneIa = "S3.TRANSITION_ZIA.OBJECT",
    TransitionIntelligent = "S3.TRANSITION_INT.OBJECT",
    TransitionGlacierInstant = "S3.TRANSITION_GIR.OBJECT",
    TransitionDeepArchive = "S3.TRANSITION_GDA.OBJECT",
    DeleteUpload = "S3.DELETE.UPLOAD",
    RestoreDone = "S3.RESTORE.OBJECT",
    ComputeChecksum = "S3.COMPUTE.OBJECT.CHECKSUM",
}

impl Operation {
    /// AWS's name.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
