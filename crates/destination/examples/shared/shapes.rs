//! The shapes of generated records: their fields, good values, and the ways to be bad.

use std::fmt;
use std::str::FromStr;

use super::{Draw, number};

/// What the records of a stream look like, and the object that they go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 12 fields of a Contact, about 450 bytes a line.
    Contacts,
    /// 10 fields of an Account, numbers among them.
    Accounts,
    /// 3 fields of a Contact, about 150 bytes a line.
    Narrow,
    /// 18 fields of a Contact with a long text, about 3,000 bytes a line.
    Wide,
}

/// A field of a shape.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Its type in the catalog, or the format of a string.
    pub(crate) kind: &'static str,
    good: Good,
}

/// Where good values come from.
enum Good {
    /// One of these texts.
    Of(&'static [&'static str]),
    /// What this writes as JSON.
    By(fn(&mut Vec<u8>, &mut Draw)),
}

const fn of(name: &'static str, texts: &'static [&'static str]) -> Column {
    Column {
        name,
        kind: "string",
        good: Good::Of(texts),
    }
}

const fn by(name: &'static str, kind: &'static str, write: fn(&mut Vec<u8>, &mut Draw)) -> Column {
    Column {
        name,
        kind,
        good: Good::By(write),
    }
}

impl Column {
    /// Writes the key and a good value.
    pub(crate) fn write(&self, out: &mut Vec<u8>, draw: &mut Draw) {
        key(out, self.name);
        match self.good {
            Good::Of(texts) => text(out, draw.of(texts)),
            Good::By(write) => write(out, draw),
        }
    }
}

/// One way for a record to be bad.
#[derive(Clone, Copy)]
pub(crate) struct Flaw {
    pub(crate) column: &'static str,
    value: Bad,
}

#[derive(Clone, Copy)]
enum Bad {
    /// The key is not there.
    Missing,
    /// This JSON.
    Json(&'static str),
    /// A text of so many characters.
    Long(usize),
}

impl Flaw {
    /// Writes what stands in the column's place.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.value {
            Bad::Missing => {}
            Bad::Json(json) => {
                key(out, self.column);
                out.extend_from_slice(json.as_bytes());
            }
            Bad::Long(chars) => {
                key(out, self.column);
                out.push(b'"');
                out.resize(out.len() + chars, b'x');
                out.push(b'"');
            }
        }
    }
}

impl Shape {
    const ALL: [Self; 4] = [Self::Contacts, Self::Accounts, Self::Narrow, Self::Wide];

    /// Name of the stream.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Accounts => "accounts",
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }

    /// API name of the object.
    pub(crate) fn object(self) -> &'static str {
        match self {
            Self::Accounts => "Account",
            Self::Contacts | Self::Narrow | Self::Wide => "Contact",
        }
    }

    /// The letter that external IDs begin with.
    pub(crate) fn prefix(self) -> u8 {
        match self {
            Self::Contacts => b'C',
            Self::Accounts => b'A',
            Self::Narrow => b'N',
            Self::Wide => b'W',
        }
    }

    /// All columns but `Ext_Id__c`, which comes first.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Contacts => CONTACT,
            Self::Accounts => ACCOUNT,
            Self::Narrow => NARROW,
            Self::Wide => WIDE,
        }
    }

    /// Ways to be without a Salesforce literal.
    pub(crate) fn invalid(self) -> &'static [Flaw] {
        match self {
            Self::Contacts | Self::Wide => CONTACT_INVALID,
            Self::Accounts => ACCOUNT_INVALID,
            Self::Narrow => NARROW_INVALID,
        }
    }

    /// Ways to be refused by Salesforce.
    pub(crate) fn refused(self) -> &'static [Flaw] {
        match self {
            Self::Contacts | Self::Wide => CONTACT_REFUSED,
            Self::Accounts => ACCOUNT_REFUSED,
            Self::Narrow => NARROW_REFUSED,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|shape| shape.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("no stream {name:?}; there are {names}")
            })
    }
}

const CONTACT: &[Column] = &[
    of("LastName", LAST_NAMES),
    of("FirstName", FIRST_NAMES),
    by("Email", "string", email),
    by("Phone", "string", phone),
    of("Title", TITLES),
    of("Department", DEPARTMENTS),
    by("Birthdate", "date", date),
    by("MailingStreet", "string", street),
    of("MailingCity", CITIES),
    of("LeadSource", SOURCES),
    of("Description", NOTES),
];

const ACCOUNT: &[Column] = &[
    by("Name", "string", company),
    by("AccountNumber", "string", account_number),
    of("Industry", INDUSTRIES),
    of("Rating", RATINGS),
    by("AnnualRevenue", "number", revenue),
    by("NumberOfEmployees", "integer", employees),
    by("Website", "string", website),
    of("BillingCity", CITIES),
    of("Description", NOTES),
];

const NARROW: &[Column] = &[of("LastName", LAST_NAMES), by("Birthdate", "date", date)];

const WIDE: &[Column] = &[
    of("Salutation", SALUTATIONS),
    of("LastName", LAST_NAMES),
    of("FirstName", FIRST_NAMES),
    by("Email", "string", email),
    by("Phone", "string", phone),
    by("MobilePhone", "string", phone),
    of("Title", TITLES),
    of("Department", DEPARTMENTS),
    by("Birthdate", "date", date),
    by("MailingStreet", "string", street),
    of("MailingCity", CITIES),
    of("LeadSource", SOURCES),
    by("DoNotCall", "boolean", flag),
    by("HasOptedOutOfEmail", "boolean", flag),
    by("Revenue_Share__c", "number", share),
    by("MailingPostalCode", "string", postal_code),
    by("Description", "string", long_note),
];

const fn json(column: &'static str, json: &'static str) -> Flaw {
    Flaw {
        column,
        value: Bad::Json(json),
    }
}

const fn long(column: &'static str, chars: usize) -> Flaw {
    Flaw {
        column,
        value: Bad::Long(chars),
    }
}

const fn missing(column: &'static str) -> Flaw {
    Flaw {
        column,
        value: Bad::Missing,
    }
}

const CONTACT_INVALID: &[Flaw] = &[
    json("Birthdate", r#""2023-02-30""#),
    json("Birthdate", r#""04/25/1987""#),
    json("Description", r##""#N/A""##),
];

const CONTACT_REFUSED: &[Flaw] = &[
    missing("LastName"),
    long("LastName", 81),
    json("Email", r#""nobody.example.com""#),
    long("Phone", 41),
    long("Title", 129),
];

const ACCOUNT_INVALID: &[Flaw] = &[
    json("AnnualRevenue", r#""1,250,000.00""#),
    json("NumberOfEmployees", "12.5"),
];

const ACCOUNT_REFUSED: &[Flaw] = &[
    missing("Name"),
    json("NumberOfEmployees", "1431655766"),
    long("Website", 256),
];

const NARROW_INVALID: &[Flaw] = &[json("Birthdate", r#""2023-02-30""#)];

const NARROW_REFUSED: &[Flaw] = &[missing("LastName")];

const LAST_NAMES: &[&str] = &[
    "Ng",
    "Smith",
    "García",
    "O'Neill",
    "Müller",
    "Okafor",
    "Nguyen",
    "Kowalska",
    "Haddad",
    "Ivanova",
    "Tanaka",
    "de la Cruz",
    "Svensson",
    "Papadopoulos",
    "Nakamura-Lindqvist",
    "Achterberg",
];

const SALUTATIONS: &[&str] = &["Mr.", "Ms.", "Mrs.", "Dr.", "Prof."];

const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Grace",
    "Edsger",
    "Barbara",
    "Linus",
    "Chinua",
    "José",
    "Mei",
    "Olga",
    "Amal",
    "Tove",
    "Yuki",
    "Noor",
    "Zoë",
    "Bartholomew",
    "Maximiliane",
];

const TITLES: &[&str] = &[
    "Head of Procurement",
    "VP, Revenue Operations",
    "Data Engineer",
    "Chief Financial Officer",
    "Account Manager (EMEA)",
    "Director of Supply Chain",
    "Customer Success Lead",
    "Field Service Technician",
];

const DEPARTMENTS: &[&str] = &[
    "Finance",
    "Operations",
    "Research & Development",
    "Sales",
    "Legal",
    "Marketing",
    "Customer Support",
    "Human Resources",
];

const CITIES: &[&str] = &[
    "Reykjavík",
    "São Paulo",
    "Springfield",
    "Kraków",
    "東京",
    "Wellington",
    "Nairobi",
    "San Francisco",
];

const STREETS: &[&str] = &[
    "Main Street",
    "Rue de la Paix",
    "Market Square, Suite 200",
    "Königsallee",
    "Ocean View Drive",
    "Industrial Parkway",
    "Old Mill Lane",
    "Hauptstraße",
];

const SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List"];

const INDUSTRIES: &[&str] = &["Manufacturing", "Retail", "Technology", "Transportation"];

const RATINGS: &[&str] = &["Hot", "Warm", "Cold"];

/// JSON text already: quotes, line breaks and emoji are what joining back has to survive.
const NOTES: &[&str] = &[
    "Met at the trade fair, asked for the prices",
    "Renewal due in autumn; prefers e-mail",
    r#"Said: \"call me after the holidays\", asks a quote"#,
    r"Ships to two sites.\nGate code needed",
    "Customer since the pilot, a reference 🎉",
    "Compares our response times each month",
    r"Works part time;\ton Fridays the deputy answers",
    "Wants invoices in EUR, copies by mail",
];

fn email(out: &mut Vec<u8>, draw: &mut Draw) {
    out.extend_from_slice(b"\"c");
    number(out, draw.row(), 0);
    out.extend_from_slice(b"@team");
    number(out, draw.below(40), 0);
    out.extend_from_slice(b".example.com\"");
}

fn phone(out: &mut Vec<u8>, draw: &mut Draw) {
    out.extend_from_slice(b"\"+1 (555) ");
    number(out, draw.below(1000), 3);
    out.push(b'-');
    number(out, draw.below(10_000), 4);
    out.push(b'"');
}

fn date(out: &mut Vec<u8>, draw: &mut Draw) {
    out.push(b'"');
    number(out, 1950 + draw.below(55), 4);
    out.push(b'-');
    number(out, 1 + draw.below(12), 2);
    out.push(b'-');
    number(out, 1 + draw.below(28), 2);
    out.push(b'"');
}

fn street(out: &mut Vec<u8>, draw: &mut Draw) {
    out.push(b'"');
    number(out, 1 + draw.below(9_999), 0);
    out.push(b' ');
    out.extend_from_slice(draw.of(STREETS).as_bytes());
    out.push(b'"');
}

fn long_note(out: &mut Vec<u8>, draw: &mut Draw) {
    out.push(b'"');
    for _ in 0..60 {
        out.extend_from_slice(draw.of(NOTES).as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(b"End.\"");
}

fn company(out: &mut Vec<u8>, draw: &mut Draw) {
    out.push(b'"');
    out.extend_from_slice(draw.of(LAST_NAMES).as_bytes());
    out.extend_from_slice(b" & Sons No. ");
    number(out, draw.row(), 0);
    out.push(b'"');
}

fn account_number(out: &mut Vec<u8>, draw: &mut Draw) {
    out.extend_from_slice(b"\"ACC-");
    number(out, draw.row(), 8);
    out.push(b'"');
}

fn employees(out: &mut Vec<u8>, draw: &mut Draw) {
    number(out, draw.below(250_000), 0);
}

/// From cents to amounts that an org echoes with an exponent.
fn revenue(out: &mut Vec<u8>, draw: &mut Draw) {
    let most = draw.of(&[1_000, 10_000_000, 10_000_000_000]);
    number(out, draw.below(most), 0);
    out.push(b'.');
    number(out, draw.below(100), 2);
}

fn share(out: &mut Vec<u8>, draw: &mut Draw) {
    number(out, draw.below(100), 0);
    out.push(b'.');
    number(out, draw.below(100), 2);
}

fn postal_code(out: &mut Vec<u8>, draw: &mut Draw) {
    out.push(b'"');
    number(out, draw.below(100_000), 5);
    out.push(b'"');
}

fn flag(out: &mut Vec<u8>, draw: &mut Draw) {
    let flag: &[u8] = if draw.below(2) == 0 {
        b"false"
    } else {
        b"true"
    };
    out.extend_from_slice(flag);
}

fn website(out: &mut Vec<u8>, draw: &mut Draw) {
    out.extend_from_slice(b"\"https://www.example.com/companies/");
    number(out, draw.row(), 0);
    out.push(b'"');
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, json: &str) {
    out.push(b'"');
    out.extend_from_slice(json.as_bytes());
    out.push(b'"');
}
