#!/bin/sh
# Writes the configuration of S3 buckets as JSON, for s3trail audit --config-file.
#
#   sh config-file.sh > config.json                      all buckets of the account
#   sh config-file.sh BUCKET... > config.json            these buckets only
#
# Needs the AWS CLI and read permissions; a call that is not allowed is noted and does no harm. Profile, Region and
# endpoint are those of the AWS CLI (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL); access points are listed in the Region
# of each bucket.
set -u
export AWS_PAGER=
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT

# error prints the code of the error of the call before.
error() {
    code=$(sed -n 's/.*An error occurred (\([A-Za-z0-9]*\)).*/\1/p' "$errors" | head -n 1)
    [ -n "$code" ] || cat "$errors" >&2
    printf '{"Error": {"Code": "%s"}}' "${code:-Failed}"
}

# call SERVICE API ARGUMENTS... prints the output of a call, {} for none, or the code of its error.
call() {
    if output=$(aws "$@" --output json 2>"$errors"); then
        printf '%s' "${output:-{\}}"
    else
        error
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

# points REGION LIST QUERY ARGUMENTS -- API... prints the access points of a list and what the calls say of each, or why
# they cannot be listed.
points() {
    region=$1 list=$2 query=$3
    shift 3
    arguments=
    while [ "$1" != -- ]; do
        arguments="$arguments $1"
        shift
    done
    shift
    if [ -z "$account" ]; then
        printf '{"Error": {"Code": "NoAccountId"}}'
        return
    fi
    if [ -z "$region" ]; then
        printf '{"Error": {"Code": "NoRegion"}}'
        return
    fi
    # shellcheck disable=SC2086
    if ! names=$(aws s3control "$list" --account-id "$account" --region "$region" $arguments \
        --query "$query" --output text 2>"$errors"); then
        error
        return
    fi
    printf '{'
    next=
    for name in $(printf '%s\n' "$names" | grep -v '^None$'); do
        printf '%s\n    "%s": {' "$next" "$name"
        calls s3control --account-id "$account" --region "$region" --name "$name" -- "$@"
        printf '}'
        next=,
    done
    printf '}'
}

# region_of BUCKET prints its Region, if it is told: by the header of an answer, or else by the call for it.
region_of() {
    region=$(aws s3api head-bucket --bucket "$1" --query BucketRegion --output text 2>"$errors" | grep -v '^None$')
    if [ -z "$region" ] && region=$(aws s3api get-bucket-location --bucket "$1" \
        --query LocationConstraint --output text 2>"$errors"); then
        # It names two of them otherwise than everything else.
        case $region in
            None | '') region=us-east-1 ;;
            EU) region=eu-west-1 ;;
        esac
    fi
    printf '%s' "$region"
}

account=$(aws sts get-caller-identity --query Account --output text 2>"$errors") || account=
printf '{\n  "@audited-at": "%s",\n  "@account": {' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
calls sts -- get-caller-identity
printf ','
calls s3api -- list-buckets
if [ -n "$account" ]; then
    printf ','
    calls s3control --account-id "$account" -- get-public-access-block
fi
printf '\n  }'

regions=
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(aws s3api list-buckets --query 'Buckets[].Name' --output text | grep -v '^None$')
for bucket in "$@"; do
    printf ',\n  "%s": {' "$bucket"
    calls s3api --bucket "$bucket" -- \
        head-bucket get-bucket-location get-bucket-logging get-bucket-versioning get-bucket-encryption \
        get-public-access-block get-bucket-policy get-bucket-policy-status get-bucket-acl \
        get-bucket-ownership-controls get-bucket-cors get-object-lock-configuration get-bucket-request-payment \
        get-bucket-lifecycle-configuration get-bucket-replication
    here=$(region_of "$bucket")
    printf ',\n    "access-points": '
    points "$here" list-access-points 'AccessPointList[].Name' --bucket "$bucket" -- \
        get-access-point get-access-point-policy
    printf '\n  }'
    case "$here $regions " in
        ' '*) ;; # nobody told
        *" $here "*) ;;
        *) regions="$regions $here" ;;
    esac
done

printf ',\n  "@regions": {'
next_region=
for here in $regions; do
    printf '%s\n   "%s": {"object-lambda-access-points": ' "$next_region" "$here"
    points "$here" list-access-points-for-object-lambda 'ObjectLambdaAccessPointList[].Name' -- \
        get-access-point-configuration-for-object-lambda get-access-point-policy-for-object-lambda
    printf '}'
    next_region=,
done
printf '\n  }\n}\n'
