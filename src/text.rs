//! Texts as Salesforce measures and compares them, and names as people can read them.

/// What a message adds to a length where the text [has wide](has_wide) characters.
pub(crate) const TWO: &str = " (an emoji is two)";

/// Length in characters as Salesforce counts them: UTF-16 units, of which an emoji takes two.
pub(crate) fn length(text: &str) -> usize {
    let units = text.bytes().map(|byte| match byte {
        0x80..=0xBF => 0,
        0xF0.. => 2,
        _ => 1_usize,
    });
    units.sum()
}

/// Whether a character takes two of Salesforce's.
pub(crate) fn has_wide(text: &str) -> bool {
    text.bytes().any(|byte| byte >= 0xF0)
}

/// The longest beginning of at most `most` of Salesforce's characters. A character that takes two
/// is never cut.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let mut units = 0;
    let past = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > most
    });
    past.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The text without its outer blanks: spaces, tabs, line breaks and other controls of ASCII. All
/// other blanks are content, which Salesforce keeps.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Whether a text certainly has no outer blank of any kind; true for nearly all text.
pub(crate) fn is_bare(text: &str) -> bool {
    let visible = |end: Option<&u8>| end.is_some_and(u8::is_ascii_graphic);
    visible(text.as_bytes().first()) && visible(text.as_bytes().last())
}

/// Whether nothing of a text can be seen: it is empty, or blanks of any width alone.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        let zero_width = matches!(
            c,
            '\u{180E}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}'
        );
        c <= ' ' || c.is_whitespace() || zero_width
    })
}

/// A name in quotes whose characters can all be seen, if it has some that cannot: those of no width,
/// blanks other than spaces between its words, controls. They are written as escapes.
pub(crate) fn escaped(name: &str) -> Option<String> {
    let mut shown = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    (shown != name || trim(name) != name).then(|| format!("\"{shown}\""))
}

/// A name whose characters can all be seen: as it is, or [`escaped`].
pub(crate) fn shown(name: &str) -> String {
    escaped(name).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_show_what_cannot_be_seen() {
        for plain in ["LastName", "Straße", "O'Neil \"x\" \\ y", "名前", ""] {
            assert_eq!(escaped(plain), None, "{plain}");
        }
        for (name, expected) in [
            ("\u{feff}Id", r#""\u{feff}Id""#),
            ("Last\u{200b}Name", r#""Last\u{200b}Name""#),
            ("Last\u{a0}Name", r#""Last\u{a0}Name""#),
            ("\u{202e}Id", r#""\u{202e}Id""#),
            ("Id\n", r#""Id\n""#),
            (" Id", r#"" Id""#),
            ("e\u{301}", r#""e\u{301}""#),
        ] {
            assert_eq!(shown(name), expected);
        }
    }

    #[test]
    fn blanks_of_any_width() {
        for blank in [
            "",
            " ",
            "\t\r\n",
            "\u{a0}",
            "\u{2003}\u{3000} ",
            "\u{200b}\u{feff}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        assert!(!is_blank("\u{a0}.") && !is_blank("0"));
        assert_eq!(trim("\t a\u{a0} \r\n"), "a\u{a0}");
    }

    proptest! {
        #[test]
        fn lengths_are_those_of_utf_16(text in any::<String>(), most in 0_usize..40) {
            let units = |text: &str| text.encode_utf16().count();
            prop_assert_eq!(length(&text), units(&text));
            prop_assert_eq!(has_wide(&text), units(&text) > text.chars().count());
            let cut = beginning(&text, most);
            prop_assert!(text.starts_with(cut) && units(cut) <= most);
            let next = text[cut.len()..].chars().next();
            prop_assert!(next.is_none_or(|next| units(cut) + next.len_utf16() > most));
        }

        #[test]
        fn bare_texts_have_no_outer_blanks(text in "[ a\u{a0}é]{0,4}") {
            prop_assert!(!is_bare(&text) || text.trim() == text);
        }
    }
}
