//! The partitions of AWS: all ARNs in a policy begin with the one that the bucket is in.

/// What the names of a partition's Regions begin with; longer beginnings first.
const PARTITIONS: [(&str, &str); 16] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
    ("af-", "aws"),
    ("ap-", "aws"),
    ("ca-", "aws"),
    ("eu-", "aws"),
    ("il-", "aws"),
    ("me-", "aws"),
    ("mx-", "aws"),
    ("sa-", "aws"),
    ("us-", "aws"),
];

/// The partition of AWS that a Region is in; `None` for what is no Region of AWS.
pub(super) fn of_region(region: &str) -> Option<&'static str> {
    let found = PARTITIONS.iter().find(|(beginning, _)| region.starts_with(*beginning));
    found.map(|(_, partition)| *partition)
}

/// The partition that an ARN begins with.
pub(super) fn of_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').next().filter(|partition| !partition.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_callers_tell_the_partition() {
        for (region, partition) in [
            ("us-east-1", Some("aws")),
            ("mx-central-1", Some("aws")),
            ("cn-north-1", Some("aws-cn")),
            ("us-gov-west-1", Some("aws-us-gov")),
            ("us-iso-east-1", Some("aws-iso")),
            ("us-isob-east-1", Some("aws-iso-b")),
            ("us-isof-south-1", Some("aws-iso-f")),
            ("eu-isoe-west-1", Some("aws-iso-e")),
            ("eusc-de-east-1", Some("aws-eusc")),
            ("garage", None),
        ] {
            assert_eq!(of_region(region), partition, "{region}");
        }
        assert_eq!(of_arn("arn:aws-cn:sts::111122223333:assumed-role/a/b"), Some("aws-cn"));
        assert_eq!(of_arn("alice"), None);
    }
}
