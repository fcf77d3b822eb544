//! Deviations from the documented format that are accepted, by name.
//!
//! A quirk is counted per run and stored with its record. It says what was tolerated, never what a value means.

/// One accepted deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quirk {
    /// The request-URI is a bare `-`, or another bare word (COPY and BATCH rows).
    BareRequestUri,
    /// The Referer is a bare `-`, or another bare word.
    BareReferer,
    /// The User-Agent is a bare `-`.
    BareUserAgent,
    /// The line ends in CR LF.
    Crlf,
    /// The last line of its log object has no LF.
    NoFinalLf,
    /// More than one blank between two fields, or a blank after the last.
    DoubleBlank,
    /// The requester holds blanks: a CloudFront origin access identity.
    BlankInRequester,
    /// A raw `"` inside the request-URI.
    QuoteInRequestUri,
    /// A raw `"` inside the Referer.
    QuoteInReferer,
    /// A raw `"` inside the User-Agent.
    QuoteInUserAgent,
    /// Client-controlled text contains what could be the rest of a record: another reading is possible.
    AmbiguousQuote,
    /// The time has an offset other than `+0000`; it is stored in UTC.
    TimeOffset,
    /// The time is a dash.
    NoTime,
    /// Bytes that are not UTF-8; shown as U+FFFD.
    NotUtf8,
    /// Control bytes other than a tab.
    ControlBytes,
    /// The key holds blanks: it was logged without encoding (S3-compatible servers).
    UnencodedKey,
    /// A stray `";` after the last field (publisher's damage).
    TrailingJunk,
    /// A word too many between version id and host id (seen in March 2019); it is only in `raw_line`.
    ExtraToken,
    /// The turn-around time has the unit `ms` (S3-compatible servers).
    MsSuffix,
    /// `aclRequired` is neither `Yes` nor a dash.
    UnknownAclRequired,
    /// A number with leading zeros.
    OddNumber,
    /// More fields than are known; they are in `extra`.
    ExtraFields,
    /// Fewer fields than records of that time have.
    ShortForAge,
}

impl Quirk {
    /// Every quirk, in the order of its bit.
    pub const ALL: [Quirk; 23] = [
        Quirk::BareRequestUri,
        Quirk::BareReferer,
        Quirk::BareUserAgent,
        Quirk::Crlf,
        Quirk::NoFinalLf,
        Quirk::DoubleBlank,
        Quirk::BlankInRequester,
        Quirk::QuoteInRequestUri,
        Quirk::QuoteInReferer,
        Quirk::QuoteInUserAgent,
        Quirk::AmbiguousQuote,
        Quirk::TimeOffset,
        Quirk::NoTime,
        Quirk::NotUtf8,
        Quirk::ControlBytes,
        Quirk::UnencodedKey,
        Quirk::TrailingJunk,
        Quirk::ExtraToken,
        Quirk::MsSuffix,
        Quirk::UnknownAclRequired,
        Quirk::OddNumber,
        Quirk::ExtraFields,
        Quirk::ShortForAge,
    ];

    /// The name stored in the `quirks` column and counted in summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Quirk::BareRequestUri => "bare_request_uri",
            Quirk::BareReferer => "bare_referer",
            Quirk::BareUserAgent => "bare_user_agent",
            Quirk::Crlf => "crlf",
            Quirk::NoFinalLf => "no_final_lf",
            Quirk::DoubleBlank => "double_blank",
            Quirk::BlankInRequester => "blank_in_requester",
            Quirk::QuoteInRequestUri => "quote_in_request_uri",
            Quirk::QuoteInReferer => "quote_in_referer",
            Quirk::QuoteInUserAgent => "quote_in_user_agent",
            Quirk::AmbiguousQuote => "ambiguous_quote",
            Quirk::TimeOffset => "time_offset",
            Quirk::NoTime => "no_time",
            Quirk::NotUtf8 => "not_utf8",
            Quirk::ControlBytes => "control_bytes",
            Quirk::UnencodedKey => "unencoded_key",
            Quirk::TrailingJunk => "trailing_junk",
            Quirk::ExtraToken => "extra_token",
            Quirk::MsSuffix => "ms_suffix",
            Quirk::UnknownAclRequired => "unknown_acl_required",
            Quirk::OddNumber => "odd_number",
            Quirk::ExtraFields => "extra_fields",
            Quirk::ShortForAge => "short_for_age",
        }
    }

    /// The quirk of that name.
    pub fn from_name(name: &str) -> Option<Quirk> {
        Self::ALL.into_iter().find(|q| q.name() == name)
    }
}

/// A set of quirks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Quirks(u32);

impl Quirks {
    /// No quirk.
    pub const NONE: Quirks = Quirks(0);

    /// The quirks after which the columns cannot reproduce the line, so that it is kept in `raw_line`.
    pub const LOSSY: Quirks = Quirks(
        1 << Quirk::DoubleBlank as u32
            | 1 << Quirk::TimeOffset as u32
            | 1 << Quirk::NotUtf8 as u32
            | 1 << Quirk::TrailingJunk as u32
            | 1 << Quirk::ExtraToken as u32
            | 1 << Quirk::UnknownAclRequired as u32
            | 1 << Quirk::OddNumber as u32,
    );

    /// Adds `quirk`.
    #[inline]
    pub fn insert(&mut self, quirk: Quirk) {
        self.0 |= 1 << quirk as u32;
    }

    /// Whether `quirk` is in the set.
    #[inline]
    pub const fn contains(self, quirk: Quirk) -> bool {
        self.0 & (1 << quirk as u32) != 0
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the columns cannot reproduce the line.
    #[inline]
    pub const fn is_lossy(self) -> bool {
        self.0 & Self::LOSSY.0 != 0
    }

    /// The set as a bit mask, bit `n` for `Quirk::ALL[n]`.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The quirks of the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.into_iter().filter(move |q| self.contains(*q))
    }

    /// Comma-separated names, the form of the `quirks` column.
    pub fn names(self) -> String {
        let mut out = String::new();
        for quirk in self.iter() {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(quirk.name());
        }
        out
    }

    /// The inverse of [`Quirks::names`]; unknown names are left out.
    pub fn from_names(names: &str) -> Quirks {
        let mut set = Quirks::NONE;
        for quirk in names.split(',').filter_map(Quirk::from_name) {
            set.insert(quirk);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_the_order_of_all_and_names_round_trip() {
        let mut all = Quirks::NONE;
        for (i, quirk) in Quirk::ALL.into_iter().enumerate() {
            assert_eq!(quirk as usize, i);
            all.insert(quirk);
        }
        assert_eq!(Quirks::from_names(&all.names()), all);
        assert_eq!(Quirks::from_names(""), Quirks::NONE);
    }
}
