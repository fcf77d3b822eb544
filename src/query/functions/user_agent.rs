//! Which software asked: the user agent, reduced to one of a few stable names.
//!
//! An ordered table of text that a user agent contains; the first rule that matches names the family.
//! Programs come before the SDK they are built on, and everything comes before browsers, whose names all the
//! others borrow. A user agent is whatever its sender wrote: a family is a hint, never proof.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Row, Spec};

pub(super) const FUNCTIONS: &[Spec] = &[Spec {
    name: "user_agent_family",
    arguments: &[("user_agent", "The user agent of a record")],
    description: "A short name for the software, such as aws-cli, boto3, aws-sdk-java, athena, hadoop, curl, chrome, \
                  bot or scanner; `other` for what is not known. The sender can write what it likes.",
    example: "user_agent_family('aws-cli/2.15.0 Python/3.11.6 Linux/6.1 botocore/2.4.5') -> aws-cli",
    row: Row::Word(family),
}];

const OTHER: &str = "other";

/// (text in lower case, family), most telling first.
const RULES: &[(&str, &str)] = &[
    ("s3trail", "s3trail"),
    // Vulnerability and bucket scanners that name themselves.
    ("nuclei", "scanner"),
    ("nmap", "scanner"),
    ("nikto", "scanner"),
    ("sqlmap", "scanner"),
    ("zgrab", "scanner"),
    ("masscan", "scanner"),
    ("zmap", "scanner"),
    ("gobuster", "scanner"),
    ("dirbuster", "scanner"),
    ("feroxbuster", "scanner"),
    ("ffuf", "scanner"),
    ("wpscan", "scanner"),
    ("wfuzz", "scanner"),
    ("burp", "scanner"),
    ("acunetix", "scanner"),
    ("nessus", "scanner"),
    ("openvas", "scanner"),
    ("qualys", "scanner"),
    ("metasploit", "scanner"),
    ("s3scanner", "scanner"),
    ("bucketfinder", "scanner"),
    ("trufflehog", "scanner"),
    ("l9explore", "scanner"),
    ("censys", "scanner"),
    ("shodan", "scanner"),
    ("expanse", "scanner"),
    ("internet-measurement", "scanner"),
    // Programs built on an SDK.
    ("s3console", "s3console"),
    ("aws_athena", "athena"),
    ("amazonathena", "athena"),
    ("elasticmapreduce", "emr"),
    ("emrfs", "emr"),
    ("hadoop", "hadoop"),
    ("terraform", "terraform"),
    ("rclone", "rclone"),
    ("s3cmd", "s3cmd"),
    ("s3fs", "s3fs"),
    ("s3 browser", "s3browser"),
    ("s3browser", "s3browser"),
    ("cyberduck", "cyberduck"),
    ("git-annex", "git-annex"),
    ("mountpoint-s3", "mountpoint-s3"),
    ("minio", "minio"),
    ("amazon cloudfront", "cloudfront"),
    ("aws-internal", "aws-internal"),
    ("aws-cli", "aws-cli"),
    // AWS's SDKs.
    ("boto3", "boto3"),
    ("botocore", "boto3"),
    ("boto/", "boto"),
    ("aws-sdk-java", "aws-sdk-java"),
    ("aws-sdk-kotlin", "aws-sdk-kotlin"),
    ("aws-sdk-go", "aws-sdk-go"),
    ("aws-sdk-js", "aws-sdk-js"),
    ("aws-sdk-nodejs", "aws-sdk-js"),
    ("aws-sdk-ruby", "aws-sdk-ruby"),
    ("aws-sdk-rust", "aws-sdk-rust"),
    ("aws-sdk-php", "aws-sdk-php"),
    ("aws-sdk-net", "aws-sdk-net"),
    ("aws-sdk-dotnet", "aws-sdk-net"),
    ("aws-sdk-cpp", "aws-sdk-cpp"),
    ("aws-sdk-swift", "aws-sdk-swift"),
    // Crawlers.
    ("bot/", "bot"),
    ("bot;", "bot"),
    ("bot)", "bot"),
    ("bot ", "bot"),
    ("spider", "bot"),
    ("crawler", "bot"),
    ("slurp", "bot"),
    ("facebookexternalhit", "bot"),
    // Plain HTTP clients.
    ("curl/", "curl"),
    ("wget/", "wget"),
    ("python-requests", "python-requests"),
    ("python-urllib", "python"),
    ("python-httpx", "python"),
    ("aiohttp", "python"),
    ("go-http-client", "go-http"),
    ("apache-httpclient", "java"),
    ("commons-httpclient", "java"),
    ("okhttp", "java"),
    ("axis/", "java"),
    ("java/", "java"),
    // Browsers: Edge calls itself Chrome and Safari, Chrome calls itself Safari.
    ("edg/", "edge"),
    ("edge/", "edge"),
    ("edga/", "edge"),
    ("edgios/", "edge"),
    ("firefox/", "firefox"),
    ("fxios/", "firefox"),
    ("chrome/", "chrome"),
    ("chromium/", "chrome"),
    ("crios/", "chrome"),
    ("safari/", "safari"),
];

static FINDERS: LazyLock<Vec<(Finder<'static>, &'static str)>> =
    LazyLock::new(|| RULES.iter().map(|(text, family)| (Finder::new(*text), *family)).collect());

fn family(user_agent: Option<&str>) -> Option<&'static str> {
    let lower = user_agent?.to_ascii_lowercase();
    let found = FINDERS.iter().find(|(finder, _)| finder.find(lower.as_bytes()).is_some());
    Some(found.map_or(OTHER, |(_, family)| family))
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn families_of_real_shapes() {
        let cases = [
            (
                "aws-cli/2.7.0 Python/3.9.11 Linux/5.10.x86_64 exec-env/AWS_Lambda_python3.9 botocore/2.6.0",
                "aws-cli",
            ),
            ("Boto3/1.26.0 Python/3.8.0 Linux/5.4.0-aws Botocore/1.29.0 Resource", "boto3"),
            ("Boto/2.49.0 Python/2.7.18 Linux/4.14", "boto"),
            (
                "S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.1 Linux/5.4 OpenJDK_64-Bit_Server_VM/25",
                "s3console",
            ),
            ("aws-internal/3 aws-sdk-java/1.11.1 Linux/4.9", "aws-internal"),
            ("AWS_ATHENA, aws-sdk-java/1.12.1 Linux/5.4 java/11, presto", "athena"),
            ("ElasticMapReduce/1.0.0 emrfs/s3n {} user:hadoop,groups:[hadoop], aws-sdk-java/1.11", "emr"),
            ("Hadoop 3.3.6, aws-sdk-java/1.12.1 Linux/5.4 java/11", "hadoop"),
            ("APN/1.0 HashiCorp/1.0 Terraform/1.5.0 aws-sdk-go/1.44.0 (go1.19; linux; amd64)", "terraform"),
            ("aws-sdk-go-v2/1.21.0 os/linux lang/go#1.21 md/GOOS#linux api/s3#1.38", "aws-sdk-go"),
            ("aws-sdk-dotnet-coreclr/3.7 .NET_Core/6.0", "aws-sdk-net"),
            ("rclone/v1.62.2", "rclone"),
            ("S3 Browser/10.9.9 (https://s3browser.com)", "s3browser"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
            ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", "scanner"),
            (
                "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0",
                "edge",
            ),
            ("Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36", "chrome"),
            (
                "\"Mozilla/5.0 (Macintosh) AppleWebKit/605.1 (KHTML, like Gecko) Version/17 Safari/605.1\"",
                "safari",
            ),
            ("Mozilla/5.0 (X11; rv:120.0) Gecko/20100101 Firefox/120.0", "firefox"),
            ("Jakarta Commons-HttpClient/3.0", "java"),
            ("curl/8.4.0", "curl"),
            ("Go-http-client/1.1", "go-http"),
            ("vertica-v12.0.1", "other"),
            ("", "other"),
        ];
        for (agent, family) in cases {
            assert_eq!(call("user_agent_family", &[Some(agent)]).as_deref(), Some(family), "{agent}");
        }
    }

    #[test]
    fn rules_are_lower_case_and_reachable() {
        for (at, (text, _)) in RULES.iter().enumerate() {
            assert_eq!(*text, text.to_ascii_lowercase());
            for (earlier, _) in &RULES[..at] {
                assert!(!text.contains(earlier), "{text} is hidden behind {earlier}");
            }
        }
    }
}
