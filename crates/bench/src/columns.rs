//! The columns of generated records: their fields, and the values of a record in them. A value is a
//! function of seed, key and version alone, so what must be in the org need not be kept.

/// How values of a column are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    /// The external ID of a parent: an account.
    Parent,
}

/// A column, named after the field that it goes into.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    make: Make,
}

#[derive(Debug, Clone, Copy)]
enum Make {
    /// One of these texts.
    Of(&'static [&'static str]),
    /// The same, with the version of the record behind it.
    Versioned(&'static [&'static str]),
    By(fn(&mut Draw, &mut String)),
    /// Every fourth record has none.
    Sparse(fn(&mut Draw, &mut String)),
    Parent {
        parents: u64,
    },
}

/// Pseudo-random numbers of one record (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    key: u64,
    state: u64,
}

impl Draw {
    /// The numbers of record `key`; `salt` makes them differ from others of the same key.
    pub(crate) fn new(seed: u64, key: u64, salt: u64) -> Self {
        let mut seeded = Self {
            key,
            state: seed << 8 ^ salt,
        };
        let state = seeded.next() ^ key.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self { key, state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or_default()
    }

    /// A number from 0 to below 1.
    #[allow(
        clippy::cast_precision_loss,
        reason = "53 of 64 random bits are enough"
    )]
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn of(&mut self, texts: &[&'static str]) -> &'static str {
        let chosen = self.below(texts.len() as u64);
        usize::try_from(chosen)
            .ok()
            .and_then(|at| texts.get(at).copied())
            .unwrap_or_default()
    }
}

impl Column {
    fn new(name: &str, kind: Kind, make: Make) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            make,
        }
    }

    /// Writes the value of a record; nothing is null.
    pub(crate) fn write(&self, draw: &mut Draw, version: u32, out: &mut String) {
        match self.make {
            Make::Of(texts) => out.push_str(draw.of(texts)),
            Make::Versioned(texts) => {
                out.push_str(draw.of(texts));
                out.push_str(" v");
                digits(out, u64::from(version), 1);
            }
            Make::By(make) => make(draw, out),
            Make::Sparse(make) => {
                if draw.below(4) > 0 {
                    make(draw, out);
                }
            }
            Make::Parent { parents } => {
                // The square of the square of a share: a few parents have most of the children.
                let share = draw.share().powi(4);
                write_parent(out, scaled(parents, share).min(parents.saturating_sub(1)));
            }
        }
    }
}

/// `share` of `whole`, rounded down.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "shares of counts far below 2^53"
)]
pub(crate) fn scaled(whole: u64, share: f64) -> u64 {
    (whole as f64 * share) as u64
}

/// The external ID of a parent.
pub(crate) fn write_parent(out: &mut String, parent: u64) {
    out.push_str("P-");
    digits(out, parent, 8);
}

/// Writes a number with at least `width` digits.
pub(crate) fn digits(out: &mut String, value: u64, width: usize) {
    use std::fmt::Write as _;
    // Writing into a String cannot fail.
    let _ = write!(out, "{value:0width$}");
}

/// Columns of a contact besides its key.
pub(crate) fn contact() -> Vec<Column> {
    vec![
        Column::new("LastName", Kind::Text, Make::Of(LAST_NAMES)),
        Column::new("FirstName", Kind::Text, Make::Of(FIRST_NAMES)),
        Column::new("Email", Kind::Text, Make::By(email)),
        Column::new("Phone", Kind::Text, Make::By(phone)),
        Column::new("MobilePhone", Kind::Text, Make::Sparse(phone)),
        Column::new("Title", Kind::Text, Make::Versioned(TITLES)),
        Column::new("Birthdate", Kind::Date, Make::By(date)),
        Column::new("MailingStreet", Kind::Text, Make::By(street)),
        Column::new("MailingCity", Kind::Text, Make::Of(CITIES)),
        Column::new("Revenue_Share__c", Kind::Number, Make::By(hundredths)),
        Column::new("DoNotCall", Kind::Boolean, Make::By(flag)),
        Column::new("Description", Kind::Text, Make::Of(NOTES)),
    ]
}

/// Two columns besides the key.
pub(crate) fn narrow() -> Vec<Column> {
    vec![
        Column::new("LastName", Kind::Text, Make::Of(LAST_NAMES)),
        Column::new("Birthdate", Kind::Date, Make::By(date)),
    ]
}

/// `count` columns of `Wide__c` besides its key: texts, numbers, dates and booleans in turn.
pub(crate) fn wide(count: usize) -> Vec<Column> {
    let mut columns = vec![Column::new("LastName", Kind::Text, Make::Of(LAST_NAMES))];
    columns.extend((1..count).map(|number| {
        let name = wide_name(number);
        match number % 4 {
            0 => Column::new(&name, Kind::Text, Make::Of(CITIES)),
            1 => Column::new(&name, Kind::Number, Make::By(amount)),
            2 => Column::new(&name, Kind::Date, Make::By(date)),
            _ => Column::new(&name, Kind::Boolean, Make::By(flag)),
        }
    }));
    columns
}

/// The name of a generated field of `Wide__c`.
pub(crate) fn wide_name(number: usize) -> String {
    format!("F{number:03}__c")
}

/// A contact that names its account by external ID; `parents` accounts, of which a few have most.
pub(crate) fn child(parents: u64) -> Vec<Column> {
    vec![
        Column::new("LastName", Kind::Text, Make::Of(LAST_NAMES)),
        Column::new("Title", Kind::Text, Make::Versioned(TITLES)),
        Column::new("Account.Ext_Id__c", Kind::Parent, Make::Parent { parents }),
    ]
}

fn email(draw: &mut Draw, out: &mut String) {
    out.push('c');
    digits(out, draw.key, 1);
    out.push_str("@team");
    digits(out, draw.below(40), 1);
    out.push_str(".example.com");
}

fn phone(draw: &mut Draw, out: &mut String) {
    out.push_str("+1 (555) ");
    digits(out, draw.below(1_000), 3);
    out.push('-');
    digits(out, draw.below(10_000), 4);
}

fn date(draw: &mut Draw, out: &mut String) {
    digits(out, 1950 + draw.below(55), 4);
    out.push('-');
    digits(out, 1 + draw.below(12), 2);
    out.push('-');
    digits(out, 1 + draw.below(28), 2);
}

fn street(draw: &mut Draw, out: &mut String) {
    digits(out, 1 + draw.below(9_999), 1);
    out.push(' ');
    out.push_str(draw.of(STREETS));
}

fn hundredths(draw: &mut Draw, out: &mut String) {
    digits(out, draw.below(100), 1);
    out.push('.');
    digits(out, draw.below(100), 2);
}

fn amount(draw: &mut Draw, out: &mut String) {
    digits(out, draw.below(10_000_000), 1);
    out.push('.');
    digits(out, draw.below(100), 2);
}

fn flag(draw: &mut Draw, out: &mut String) {
    out.push_str(if draw.below(2) == 0 { "false" } else { "true" });
}

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
    "Lindqvist-Sato",
    "Achterberg",
];

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
];

/// Quotes, line breaks, commas and emoji.
const NOTES: &[&str] = &[
    "Met at the trade fair, asked for the prices",
    "Renewal due in autumn; prefers e-mail",
    "Said: \"call me after the holidays\", asks a quote",
    "Ships to two sites.\nGate code needed",
    "Customer since the pilot, a reference 🎉",
    "Compares our response times each month",
];
