//! Word lists: agents, roles, people, hosts, subresources. Data only.
//!
//! Agents are spelled as the products spell themselves; `{}` stands for a number drawn once per caller.
//! Names of people, accounts, buckets and sites are made up or reserved for documentation.

/// The accounts: the buckets' own first.
pub(super) const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "123456789012"];

/// The region of every bucket.
pub(super) const REGION: &str = "us-west-2";

/// The regions that callers inside AWS call from; the buckets' own is the most frequent.
pub(super) const REGIONS: [&str; 8] =
    [REGION, REGION, REGION, REGION, REGION, "us-east-1", "eu-central-1", "ap-southeast-2"];

/// Buckets by number; beyond the list they are numbered.
pub(super) const BUCKETS: [&str; 8] = [
    "amzn-s3-demo-data-lake",
    "amzn-s3-demo-website",
    "amzn-s3-demo-backups",
    "amzn-s3-demo-uploads",
    "amzn-s3-demo-analytics.example.com",
    "amzn-s3-demo-media",
    "amzn-s3-demo-exports",
    "amzn-s3-demo-archive",
];

/// The bucket that receives log objects, where a scenario logs it.
pub(super) const LOGGING_BUCKET: &str = "amzn-s3-demo-logging-bucket";

/// Canonical id of S3 log delivery.
pub(super) const LOG_DELIVERY: &str = "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61";

/// The first three parts of the addresses there are: those reserved for documentation.
pub(super) const NETWORKS: [&str; 3] = ["192.0.2.", "198.51.100.", "203.0.113."];

/// A program that signs its requests: the agent, whether it runs inside AWS, and whether its SDK appends
/// `x-id=` to the target.
pub(super) struct Program {
    pub(super) agent: &'static str,
    pub(super) inside_aws: bool,
    pub(super) x_id: bool,
}

const fn program(agent: &'static str, inside_aws: bool, x_id: bool) -> Program {
    Program { agent, inside_aws, x_id }
}

/// Programs that read and write objects.
pub(super) const WORKERS: &[Program] = &[
    program(
        "aws-sdk-java/2.29.{} md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.119-129.201.amzn2023.x86_64 lang/java#17.0.13 md/OpenJDK_64-Bit_Server_VM#17.0.13+11-LTS md/vendor#Amazon.com_Inc. md/en_US m/D,N",
        true,
        false,
    ),
    program(
        "aws-sdk-java/1.12.{} Linux/5.10.230-223.885.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/11.0.25+9-LTS java/11.0.25 scala/2.12.18 vendor/Amazon.com_Inc. cfg/retry-mode/legacy",
        true,
        false,
    ),
    program(
        "Hadoop 3.3.6-amzn-4, aws-sdk-java/1.12.{} Linux/5.10.228-219.884.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.13+11-LTS java/17.0.13 vendor/Amazon.com_Inc. cfg/retry-mode/standard",
        true,
        false,
    ),
    program(
        "ElasticMapReduce/1.0.0 emrfs/s3n {},g1gc,emr-6.15.0 user:hadoop aws-sdk-java/1.12.569 Linux/5.10.198 OpenJDK_64-Bit_Server_VM/1.8.0_402",
        true,
        false,
    ),
    program(
        "Boto3/1.35.{} md/Botocore#1.35.{} ua/2.0 os/linux#5.10.230-223.885.amzn2.x86_64 md/arch#x86_64 lang/python#3.12.8 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.35.{}",
        true,
        false,
    ),
    program(
        "Boto3/1.26.{} Python/3.9.16 Linux/4.14.255-311-248.529.amzn2.x86_64 exec-env/AWS_Lambda_python3.9 Botocore/1.29.{} Resource",
        true,
        false,
    ),
    program(
        "aws-sdk-go-v2/1.32.{} ua/2.1 os/linux lang/go#1.23.4 md/GOOS#linux md/GOARCH#arm64 api/s3#1.71.{} m/E,Z",
        true,
        true,
    ),
    program(
        "aws-sdk-js/3.716.{} ua/2.1 os/linux#5.10.229-230.883.amzn2.x86_64 lang/js md/nodejs#20.18.1 api/s3#3.717.0 exec-env/AWS_Lambda_nodejs20.x m/E,e",
        true,
        true,
    ),
    program("aws-sdk-rust/1.3.{} os/linux lang/rust/1.83.0", true, true),
    program("aws-sdk-nodejs/2.1692.{} linux/v18.20.4 exec-env/AWS_ECS_FARGATE promise", true, false),
    program("athena.amazonaws.com", true, false),
    program(
        "aws-internal/3 aws-sdk-java/1.12.{} Linux/5.10.225-191.878.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.422-b05 java/1.8.0_422 vendor/Oracle_Corporation cfg/retry-mode/standard",
        true,
        false,
    ),
    program("S3Manager, aws-sdk-go/1.55.{} (go1.22.9; linux; amd64) S3Manager", false, false),
    program(
        "APN/1.0 Databricks/1.0 aws-sdk-java/1.12.{} Linux/5.15.0-1072-aws OpenJDK_64-Bit_Server_VM/25.412-b08 java/1.8.0_412 scala/2.12.15 vendor/Azul_Systems,_Inc. cfg/retry-mode/legacy",
        true,
        false,
    ),
    program(
        "aws-cli/2.22.{} md/awscrt#0.23.4 ua/2.0 os/linux#6.8.0-1021-aws md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off md/command#s3.sync",
        false,
        false,
    ),
    program(
        "aws-cli/1.36.{} md/Botocore#1.35.{} ua/2.0 os/macos#23.6.0 md/arch#arm64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#legacy botocore/1.35.{}",
        false,
        false,
    ),
    program(
        "trino-s3/4{} aws-sdk-java/2.29.{} Linux/6.1.0 OpenJDK_64-Bit_Server_VM/23.0.1 java/23.0.1",
        true,
        false,
    ),
    program("duckdb/v1.1.{}(linux_amd64) python/3.12.7", false, false),
    program("rclone/v1.68.{}", false, false),
    program("vertica-v12.0.4-{}", true, false),
    program("MinIO (linux; amd64) minio-go/v7.0.{} mc/RELEASE.2024-11-21T17-21-54Z", false, false),
];

/// Programs that configure buckets.
pub(super) const OPERATORS: &[Program] = &[
    program(
        "S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.{} Linux/5.10.225-191.878.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.422-b05 java/1.8.0_422 vendor/Oracle_Corporation cfg/retry-mode/standard",
        false,
        false,
    ),
    program(
        "APN/1.0 HashiCorp/1.0 Terraform/1.10.{} (+https://www.terraform.io) terraform-provider-aws/5.8{} (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.7 ua/2.1 os/linux lang/go#1.23.3 md/GOOS#linux md/GOARCH#amd64 api/s3#1.71.1",
        false,
        true,
    ),
    program(
        "aws-cli/2.22.{} md/awscrt#0.23.4 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#source md/prompt#off md/command#s3api.get-bucket-policy",
        false,
        false,
    ),
    program(
        "AWSCloudFormation aws-internal/3 aws-sdk-java/1.12.{} Linux/5.10.226-192.880.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.432-b06 java/1.8.0_432",
        true,
        false,
    ),
    program("AWSConfig aws-internal/3", true, false),
    program("aws-internal/3 S3StorageLens access-analyzer/{}", true, false),
];

/// Agents of callers that do not sign.
pub(super) const VISITORS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/13{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/13{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:13{}.0) Gecko/20100101 Firefox/13{}.0",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.67{}.81 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Amazon CloudFront",
    "curl/8.{}.0",
    "Wget/1.21.{}",
    "python-requests/2.32.{}",
    "Go-http-client/2.0",
    "okhttp/4.12.{}",
    "Mozilla/5.0 zgrab/0.x",
    "-",
];

/// Pages that link to objects; the dash is the most frequent Referer of a browser here.
pub(super) const REFERERS: &[&str] = &[
    "-",
    "-",
    "https://www.example.com/",
    "https://www.example.com/products?page=2&sort=price",
    "https://app.example.org/dashboard",
    "https://blog.example.net/2026/launch",
];

/// The console's pages.
pub(super) const CONSOLE_REFERERS: &[&str] =
    &["https://us-west-2.console.aws.amazon.com/s3/buckets/", "https://s3.console.aws.amazon.com/s3/upload/"];

/// Roles, and how the sessions of each are named: `i` instance, `l` function, `b` botocore, `p` person,
/// `c` CodeBuild.
pub(super) const ROLES: &[(&str, char)] = &[
    ("EMR_EC2_DefaultRole", 'i'),
    ("analytics-spark-executor", 'i'),
    ("orders-api-task-role", 'b'),
    ("ingest-lambda-role-4x7kq2", 'l'),
    ("GlueServiceRole-nightly", 'b'),
    ("vertica-eon-node", 'i'),
    ("AWSReservedSSO_DataAnalyst_0a1b2c3d4e5f6a7b", 'p'),
    ("AWSReservedSSO_AdministratorAccess_1f2e3d4c5b6a7988", 'p'),
    ("ci-deploy", 'c'),
    ("thumbnailer-function-role", 'l'),
    ("backup-agent", 'i'),
    ("ml-training", 'i'),
];

/// People, by the names of their users and sessions.
pub(super) const PEOPLE: &[&str] = &[
    "akua.mansah",
    "arnav.desai",
    "carlos.salazar",
    "diego.ramirez",
    "jane.doe",
    "john.stiles",
    "kwaku.mensah",
    "li.juan",
    "maria.garcia",
    "martha.rivera",
    "mary.major",
    "mateo.jackson",
    "nikki.wolf",
    "paulo.santos",
    "richard.roe",
    "saanvi.sarkar",
    "sofia.martinez",
    "wang.xiulan",
    "zhang.wei",
];

/// Users of programs.
pub(super) const ROBOTS: &[&str] =
    &["svc-backup", "svc-etl", "svc-deploy", "legacy-ftp-bridge", "partner-upload"];

/// Access points of every bucket.
pub(super) const ACCESS_POINTS: [&str; 3] = ["analytics", "partner-readonly", "ml-training"];

/// A cipher and the TLS version it belongs to, by how many of 100 connections use it.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) cipher: &'static str,
    pub(super) version: &'static str,
    pub(super) percent: u64,
}

const fn tls(percent: u64, cipher: &'static str, version: &'static str) -> Tls {
    Tls { cipher, version, percent }
}

/// Transport of a connection. The first is no TLS at all.
pub(super) const TRANSPORTS: &[Tls] = &[
    tls(1, "-", "-"),
    tls(58, "TLS_AES_128_GCM_SHA256", "TLSv1.3"),
    tls(5, "TLS_AES_256_GCM_SHA384", "TLSv1.3"),
    tls(1, "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3"),
    tls(30, "ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2"),
    tls(4, "ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2"),
    tls(1, "ECDHE-RSA-AES128-SHA", "TLSv1.2"),
];

/// The usual transport, for callers inside AWS.
pub(super) const MODERN: &Tls = &TRANSPORTS[1];

/// What plain HTTP and work inside AWS log.
pub(super) const NO_TLS: &Tls = &TRANSPORTS[0];
