//! Names of users' things as parts of keys.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// A segment that no store takes for this or the parent directory.
pub(crate) fn not_relative(segment: &str) -> String {
    match segment {
        "." | ".." => segment.replace('.', "_"),
        _ => segment.to_owned(),
    }
}

/// Text that is safe in an S3 key: compatibility decomposition (NFKD), marks removed, and `_` for
/// what is neither an ASCII letter or digit nor harmless punctuation.
pub(crate) fn safe(text: &str) -> String {
    let categories = CodePointMapData::<GeneralCategory>::new();
    let is_mark = |c: &char| GeneralCategoryGroup::Mark.contains(categories.get(*c));
    DecomposingNormalizerBorrowed::new_nfkd()
        .normalize_iter(text.chars())
        .filter(|c| !is_mark(c))
        .map(|c| if is_safe(c) { c } else { '_' })
        .collect()
}

fn is_safe(character: char) -> bool {
    character.is_ascii_alphanumeric() || "/!_.*')(&$@=;:+,?-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_safe_for_s3() {
        for (name, expected) in [
            ("Café_Ñandú-ż", "Cafe_Nandu-z"),
            ("Cafe\u{301}", "Cafe"),
            ("a b#c\"d", "a_b_c_d"),
            ("/!_.*')(&$@=;:+,?-", "/!_.*')(&$@=;:+,?-"),
            ("Straße Øl", "Stra_e__l"),
            ("ｆｕｌｌ　＃", "full__"),
            ("ﬁn ½ 한", "fin_1_2____"),
            ("客户", "__"),
            ("ǆ ㏒ ㎏ ⑳ 𝐁𝟗 ﷺ", "dz_log_kg_20_B9___________________"),
            ("한글 हिन्दी", "__________"),
            ("①ﬃⅣ℡", "1ffiIVTEL"),
        ] {
            assert_eq!(safe(name), expected, "{name}");
        }
    }
}
