//! Patterns of policies, with `*` and `?`, against one text or against all texts with one beginning.
//!
//! Knows nothing of what the texts are. Comparison is by character and exact; who wants it blind to case lowers both.

/// Whether something is so for all requests asked about, for some but not for all, for none, or cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// For every one of them.
    Always,
    /// For some of them, and not for others.
    Sometimes,
    /// For none of them.
    Never,
    /// It cannot be told.
    Unknown,
}

impl Fit {
    /// Both must be so.
    pub fn and(self, other: Fit) -> Fit {
        match (self, other) {
            (Fit::Never, _) | (_, Fit::Never) => Fit::Never,
            (Fit::Unknown, _) | (_, Fit::Unknown) => Fit::Unknown,
            (Fit::Sometimes, _) | (_, Fit::Sometimes) => Fit::Sometimes,
            (Fit::Always, Fit::Always) => Fit::Always,
        }
    }

    /// One of the two is enough.
    pub fn or(self, other: Fit) -> Fit {
        match (self, other) {
            (Fit::Always, _) | (_, Fit::Always) => Fit::Always,
            (Fit::Unknown, _) | (_, Fit::Unknown) => Fit::Unknown,
            (Fit::Sometimes, _) | (_, Fit::Sometimes) => Fit::Sometimes,
            (Fit::Never, Fit::Never) => Fit::Never,
        }
    }

    /// What is left out by it.
    pub fn not(self) -> Fit {
        match self {
            Fit::Always => Fit::Never,
            Fit::Never => Fit::Always,
            other => other,
        }
    }

    /// `Always` or `Never`.
    pub fn of(is_so: bool) -> Fit {
        if is_so { Fit::Always } else { Fit::Never }
    }
}

/// One text, or every text that begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    text: String,
    is_open: bool,
}

impl Extent {
    /// This text and no other.
    pub fn exactly(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_open: false }
    }

    /// Every text that begins with this one.
    pub fn beginning(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_open: true }
    }

    /// A text of the extent that no pattern is likely to be written for.
    pub fn witness(&self) -> Self {
        let more = if self.is_open { "\u{1}witness" } else { "" };
        Self::exactly(format!("{}{more}", self.text))
    }

    /// Whether it is more than one text.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Which of its texts `pattern` matches.
    pub fn fits(&self, pattern: &str) -> Fit {
        let pattern: Vec<char> = pattern.chars().collect();
        // Which places of the pattern can be reached; behind its last character it has matched.
        let mut here = vec![false; pattern.len() + 1];
        here[0] = true;
        pass_stars(&pattern, &mut here);
        for c in self.text.chars() {
            let mut next = vec![false; pattern.len() + 1];
            for place in (0..pattern.len()).filter(|place| here[*place]) {
                match pattern[place] {
                    '*' => next[place] = true,
                    own if own == '?' || own == c => next[place + 1] = true,
                    _ => {}
                }
            }
            here = next;
            pass_stars(&pattern, &mut here);
            if !here.contains(&true) {
                return Fit::Never;
            }
        }
        if !self.is_open {
            return Fit::of(here[pattern.len()]);
        }
        // Whatever follows is matched by a star at the end, and by nothing else.
        let stars = pattern.iter().rev().take_while(|c| **c == '*').count();
        let takes_all = here[pattern.len() - stars..pattern.len()].contains(&true);
        if takes_all { Fit::Always } else { Fit::Sometimes }
    }
}

/// Whether `pattern` matches `text`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    Extent::exactly(text).fits(pattern) == Fit::Always
}

/// Reaches the places behind stars, which can match nothing.
fn pass_stars(pattern: &[char], here: &mut [bool]) {
    for place in 0..pattern.len() {
        if here[place] && pattern[place] == '*' {
            here[place + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text() {
        for (pattern, text, is_match) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a**", "xay", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("abc", "ab", false),
            ("ab", "abc", false),
            ("é?", "éü", true),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn all_texts_with_one_beginning() {
        for (pattern, beginning, fit) in [
            ("*", "logs/", Fit::Always),
            ("logs/*", "logs/", Fit::Always),
            ("logs/*", "logs/web/", Fit::Always),
            ("l*", "logs/", Fit::Always),
            ("*/*", "logs/", Fit::Always),
            ("logs/*", "log", Fit::Sometimes),
            ("logs/*.gz", "logs/", Fit::Sometimes),
            ("logs/a", "logs/", Fit::Sometimes),
            ("logs/", "logs/", Fit::Sometimes),
            ("logs/?*", "logs/", Fit::Sometimes),
            ("data/*", "logs/", Fit::Never),
            ("logs/", "logs/web", Fit::Never),
            ("", "logs/", Fit::Never),
            ("*", "", Fit::Always),
        ] {
            assert_eq!(Extent::beginning(beginning).fits(pattern), fit, "{pattern} {beginning}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = "*a".repeat(500);
        assert_eq!(Extent::exactly("a".repeat(2_000)).fits(&pattern), Fit::Always);
        assert_eq!(Extent::exactly(format!("{}b", "a".repeat(2_000))).fits(&pattern), Fit::Never);
    }

    #[test]
    fn combined() {
        use Fit::{Always, Never, Sometimes, Unknown};
        assert_eq!(
            [Always.and(Sometimes), Unknown.and(Never), Unknown.and(Always)],
            [Sometimes, Never, Unknown]
        );
        assert_eq!(
            [Always.or(Unknown), Sometimes.or(Never), Sometimes.or(Unknown)],
            [Always, Sometimes, Unknown]
        );
        assert_eq!([Always.not(), Never.not(), Sometimes.not()], [Never, Always, Sometimes]);
    }
}
