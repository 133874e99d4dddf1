//! Keys: which record of Salesforce a row names.

use super::literal::{LiteralType, Rewrite};
use crate::object::{Field, FieldType, RecordId};
use crate::rows::KeyDigest;
use crate::text::trim;

/// Where the key of a row stands in its cells, and when two of them name one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Index of its column in the cells.
    pub column: usize,
    /// How its values compare.
    pub form: KeyForm,
}

/// The normal form of the values of a key field: equal for values that name one record.
///
/// Rows are merged, held back, and found in a job's results by the same form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyForm {
    /// A record Id: its 15 characters, whether it came with 15 or 18. What is no Id is text.
    Id,
    /// Text without its outer blanks of ASCII, which Salesforce does not keep. All other blanks
    /// are content.
    Text {
        /// Letter case is ignored: the field is unique without regard to it.
        ignore_case: bool,
    },
    /// The number that Salesforce keeps: `01` is `1` and `9.1E3` is `9100`.
    Number {
        /// Digits after the point.
        scale: u32,
    },
    /// A value of any other type, by what it says: a date, a boolean, ….
    Value(FieldType),
}

impl KeyForm {
    /// The form of this field's values.
    pub fn of(field: &Field) -> Self {
        match LiteralType::of(&field.field_type) {
            LiteralType::Text if field.field_type == FieldType::Id => Self::Id,
            LiteralType::Text => Self::Text {
                ignore_case: field.unique && !field.case_sensitive,
            },
            LiteralType::Int | LiteralType::Long => Self::Number { scale: 0 },
            LiteralType::Decimal => Self::Number { scale: field.scale },
            _ => Self::Value(field.field_type.clone()),
        }
    }

    /// The digest of the normal form of a cell, or of its echo in a job's results. Changes `buffer`,
    /// which spares an allocation a cell.
    pub fn digest(&self, cell: &str, buffer: &mut String) -> KeyDigest {
        if *self == Self::Id
            && let Some(id) = RecordId::parse(trim(cell))
        {
            return KeyDigest::of(id.as_bytes());
        }
        KeyDigest::of(self.normal(cell, buffer).as_bytes())
    }

    fn normal<'a>(&self, cell: &'a str, buffer: &'a mut String) -> &'a str {
        buffer.clear();
        let (literal_type, scale) = match self {
            Self::Id | Self::Text { .. } => (LiteralType::Text, 0),
            Self::Number { scale } => (LiteralType::Decimal, *scale),
            Self::Value(field_type) => (LiteralType::of(field_type), 0),
        };
        let rewrite = literal_type.canonical(cell, scale, buffer);
        if *self == (Self::Text { ignore_case: true }) {
            match rewrite {
                Rewrite::Same => fold(cell, buffer),
                _ => fold(&std::mem::take(buffer), buffer),
            }
            return buffer;
        }
        match rewrite {
            Rewrite::Same => cell,
            _ => buffer,
        }
    }
}

/// Appends the text in lower case.
fn fold(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectSchema;
    use proptest::prelude::*;

    fn digest(form: &KeyForm, cell: &str) -> KeyDigest {
        let mut buffer = "left from before".to_owned();
        form.digest(cell, &mut buffer)
    }

    #[track_caller]
    fn assert_same(form: &KeyForm, cells: &[&str]) {
        for cell in cells {
            assert_eq!(
                digest(form, cell),
                digest(form, cells[0]),
                "{cell} {form:?}"
            );
        }
    }

    #[track_caller]
    fn assert_differ(form: &KeyForm, cells: &[&str]) {
        for (index, cell) in cells.iter().enumerate() {
            for other in &cells[..index] {
                assert_ne!(
                    digest(form, cell),
                    digest(form, other),
                    "{cell} {other} {form:?}"
                );
            }
        }
    }

    #[test]
    fn the_form_is_the_fields() {
        let object = ObjectSchema::from_describe(
            br#"{"name":"Contact","fields":[
            {"name":"Id","type":"id","unique":true},
            {"name":"Plain__c","type":"string"},
            {"name":"Exact__c","type":"string","unique":true,"caseSensitive":true},
            {"name":"Loose__c","type":"string","unique":true,"caseSensitive":false},
            {"name":"Email","type":"email","idLookup":true},
            {"name":"Number__c","type":"double","scale":2},
            {"name":"Count__c","type":"int","scale":2},
            {"name":"Day__c","type":"date"}]}"#,
        );
        let object = object.unwrap();
        let forms: Vec<String> = object
            .fields()
            .iter()
            .map(|field| format!("{}: {:?}", field.name, KeyForm::of(field)))
            .collect();
        insta::assert_snapshot!(forms.join("\n"), @r"
        Id: Id
        Plain__c: Text { ignore_case: false }
        Exact__c: Text { ignore_case: false }
        Loose__c: Text { ignore_case: true }
        Email: Text { ignore_case: false }
        Number__c: Number { scale: 2 }
        Count__c: Number { scale: 0 }
        Day__c: Value(Date)
        ");
    }

    #[test]
    fn values_of_one_record() {
        let text = KeyForm::Text { ignore_case: false };
        assert_same(&text, &["A 1", " A 1", "A 1\n"]);
        assert_differ(&text, &["a", "A", "a b", "ab", "01", "1"]);
        let wide = [
            "a",
            "a\u{a0}",
            "\u{a0}a",
            "a\u{3000}",
            "a\u{2003}",
            "\u{feff}a",
        ];
        assert_differ(&text, &wide);
        let loose = KeyForm::Text { ignore_case: true };
        assert_same(
            &loose,
            &["\u{e9}T\u{c9}", "\u{c9}t\u{e9} ", "\u{e9}t\u{e9}"],
        );
        assert_same(&loose, &["a\r\nB", "A\nb"]);
        assert_differ(&loose, &["a", "b", "\u{e9}"]);
        let number = KeyForm::Number { scale: 0 };
        assert_same(
            &number,
            &["9100", "9.1E3", "09100", "9100.0", "+9100", " 9100.4"],
        );
        assert_differ(&number, &["0", "1", "-1", "10", "912260031", "912260032"]);
        assert_same(&number, &["912260031", "9.12260031E8"]);
        assert_differ(
            &KeyForm::Number { scale: 2 },
            &["1", "1.01", "1.1", "no number"],
        );
        let date = KeyForm::Value(FieldType::Date);
        assert_same(&date, &["2024-02-29", "2024-02-29T00:00:00.000Z"]);
        assert_differ(&date, &["2024-02-29", "2024-02-28", "x"]);
    }

    #[test]
    fn ids_of_one_record() {
        assert_same(
            &KeyForm::Id,
            &[
                "00130000000xyzA",
                "00130000000xyzAAAQ",
                " 00130000000XYZAAAQ",
            ],
        );
        let others = [
            "00130000000xyzA",
            "00130000000xyza",
            "00130000000xyzB",
            "no id",
            "NO ID",
        ];
        assert_differ(&KeyForm::Id, &others);
    }

    /// Ways to write a whole number and its tenths.
    fn writings(tenths: i64) -> [String; 5] {
        let sign = if tenths < 0 { "-" } else { "" };
        let (whole, rest) = (tenths.abs() / 10, tenths.abs() % 10);
        [
            format!("{sign}{whole}.{rest}"),
            format!("{sign}00{whole}.{rest}00"),
            format!("{tenths}e-1"),
            format!("{sign}0.00{:015}E16", tenths.abs()),
            format!(" {tenths}0E-2 "),
        ]
    }

    proptest! {
        #[test]
        fn numbers_are_one_key_if_they_are_equal(
            a in prop_oneof![-20_i64..20, -999_999_999_999_999_i64..=999_999_999_999_999],
            difference in -1_i64..=1,
        ) {
            let form = KeyForm::Number { scale: 3 };
            let b = (a + difference).clamp(-999_999_999_999_999, 999_999_999_999_999);
            for (one, other) in writings(a).iter().zip(writings(b).iter().rev()) {
                prop_assert_eq!(
                    digest(&form, one) == digest(&form, other), a == b, "{} {}", one, other
                );
            }
        }

        #[test]
        fn texts_are_one_key_if_they_are_equal(
            a in "[ aA\u{e9}\u{c9}\u{a0}1]{0,3}",
            b in "[ aA\u{e9}\u{c9}\u{a0}1]{0,3}",
        ) {
            let same = digest(&KeyForm::Text { ignore_case: false }, &a)
                == digest(&KeyForm::Text { ignore_case: false }, &b);
            prop_assert_eq!(same, trim(&a) == trim(&b));
            let same = digest(&KeyForm::Text { ignore_case: true }, &a)
                == digest(&KeyForm::Text { ignore_case: true }, &b);
            prop_assert_eq!(same, trim(&a).to_lowercase() == trim(&b).to_lowercase());
        }
    }
}
