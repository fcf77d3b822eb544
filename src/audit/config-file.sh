#!/bin/sh
# Writes the configuration of S3 buckets as JSON, for s3trail audit --config-file.
#
#   sh config-file.sh > config.json                      all buckets of the account
#   sh config-file.sh BUCKET... > config.json            these buckets only
#
# Needs the AWS CLI and read permissions; a call that is not allowed is noted and does no harm. Profile, Region and
# endpoint are those of the AWS CLI (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL).
set -u
export AWS_PAGER=
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT

# call SERVICE API ARGUMENTS... prints the output of a call, {} for none, or the code of its error.
call() {
    if output=$(aws "$@" --output json 2>"$errors"); then
        printf '%s' "${output:-{\}}"
    else
        code=$(sed -n 's/.*An error occurred (\([A-Za-z0-9]*\)).*/\1/p' "$errors" | head -n 1)
        [ -n "$code" ] || cat "$errors" >&2
        printf '{"Error": {"Code": "%s"}}' "${code:-Failed}"
    fi
}

# calls SERVICE ARGUMENTS -- API... prints "API": OUTPUT for each, separated by commas.
calls() {
    service=$1
    shift
    arguments=
    while [ "$1" != -- ]; do
        arguments="$arguments $1"
        shift
    done
    shift
    separator=
    for api in "$@"; do
        # Names of buckets, access points and accounts have no blanks.
        # shellcheck disable=SC2086
        printf '%s\n    "%s": %s' "$separator" "$api" "$(call "$service" "$api" $arguments)"
        separator=,
    done
}

account=$(aws sts get-caller-identity --query Account --output text 2>"$errors") || account=
printf '{\n  "@audited-at": "%s",\n  "@account": {' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
calls sts -- get-caller-identity
printf ','
calls s3api -- list-buckets
if [ -n "$account" ]; then
    printf ','
    calls s3control --account-id "$account" -- get-public-access-block
    printf ',\n    "object-lambda-access-points": {'
    next=
    for name in $(aws s3control list-access-points-for-object-lambda --account-id "$account" \
        --query 'ObjectLambdaAccessPointList[].Name' --output text 2>"$errors" | grep -v '^None$'); do
        printf '%s\n    "%s": {' "$next" "$name"
        calls s3control --account-id "$account" --name "$name" -- \
            get-access-point-configuration-for-object-lambda get-access-point-policy-for-object-lambda
        printf '}'
        next=,
    done
    printf '}'
fi
printf '\n  }'

[ $# -gt 0 ] || set -- $(aws s3api list-buckets --query 'Buckets[].Name' --output text | grep -v '^None$')
for bucket in "$@"; do
    printf ',\n  "%s": {' "$bucket"
    calls s3api --bucket "$bucket" -- \
        head-bucket get-bucket-location get-bucket-logging get-bucket-versioning get-bucket-encryption \
        get-public-access-block get-bucket-policy get-bucket-policy-status get-bucket-acl \
        get-bucket-ownership-controls get-bucket-cors get-object-lock-configuration get-bucket-request-payment \
        get-bucket-lifecycle-configuration get-bucket-replication
    # Access points of this Region; of another one with AWS_REGION set to it.
    if [ -n "$account" ] && points=$(aws s3control list-access-points --account-id "$account" --bucket "$bucket" \
        --query 'AccessPointList[].Name' --output text 2>"$errors"); then
        printf ',\n    "access-points": {'
        next=
        for name in $(printf '%s\n' "$points" | grep -v '^None$'); do
            printf '%s\n    "%s": {' "$next" "$name"
            calls s3control --account-id "$account" --name "$name" -- get-access-point get-access-point-policy
            printf '}'
            next=,
        done
        printf '}'
    fi
    printf '\n  }'
done
printf '\n}\n'
