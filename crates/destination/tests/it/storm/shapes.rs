//! The objects that streams load into: the fields of the simulated org, and what they are for.

use testkit::KEY;

/// An object and some of its fields.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) object: &'static str,
    /// A text field, not unique, that distinguishes records.
    pub(super) identity: &'static str,
    /// Fields without which an insert is refused.
    pub(super) required: &'static [&'static str],
    /// A text field, and the characters that it takes.
    pub(super) text: (&'static str, usize),
    /// A field of long texts.
    pub(super) long: &'static str,
    /// Further fields: name, JSON type, kind.
    pub(super) typed: &'static [(&'static str, &'static str, Kind)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Decimal,
    Date,
    Email,
    Flag,
}

/// Every object has the external ID [`KEY`].
pub(super) const SHAPES: [Shape; 4] = [
    Shape {
        object: "Contact",
        identity: "Department",
        required: &["LastName"],
        text: ("Title", 128),
        long: "Description",
        typed: &[
            ("Birthdate", "date", Kind::Date),
            ("Email", "string", Kind::Email),
            ("Revenue_Share__c", "number", Kind::Decimal),
        ],
    },
    Shape {
        object: "Account",
        identity: "Site",
        required: &["Name"],
        text: ("BillingCity", 40),
        long: "Description",
        typed: &[("NumberOfEmployees", "integer", Kind::Integer)],
    },
    Shape {
        object: "Lead",
        identity: "City",
        required: &["LastName", "Company"],
        text: ("Title", 128),
        long: "Description",
        typed: &[
            ("Email", "string", Kind::Email),
            ("NumberOfEmployees", "integer", Kind::Integer),
        ],
    },
    Shape {
        object: "Everything__c",
        identity: "Text__c",
        required: &[],
        text: ("Text_Area__c", 255),
        long: "Long_Text__c",
        typed: &[
            ("Int__c", "integer", Kind::Integer),
            ("Double__c", "number", Kind::Decimal),
            ("Date__c", "date", Kind::Date),
            ("Flag__c", "boolean", Kind::Flag),
        ],
    },
];

impl Shape {
    /// All fields that are written, but the key.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        let typed = self.typed.iter().map(|(name, ..)| *name);
        let mut fields = vec![self.identity, self.text.0, self.long];
        fields.extend(self.required);
        fields.extend(typed);
        fields
    }

    /// The JSON type of a field.
    pub(super) fn json_type(&self, field: &str) -> &'static str {
        let mut typed = self.typed.iter();
        let found = typed.find(|(name, ..)| *name == field);
        found.map_or("string", |(_, json_type, _)| json_type)
    }

    /// The name of the key's field, by what finds a record.
    pub(super) fn key(by_id: bool) -> &'static str {
        if by_id { "Id" } else { KEY }
    }
}
