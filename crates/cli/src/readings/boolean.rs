//! Booleans: words for yes and no.

/// Words that the engine takes as they are.
const ENGINE: [&str; 10] = ["true", "false", "t", "f", "yes", "no", "y", "n", "1", "0"];
const TRUE: [&str; 20] = [
    "ja",
    "j",
    "wahr",
    "oui",
    "o",
    "vrai",
    "si",
    "s",
    "sí",
    "sì",
    "verdadero",
    "vero",
    "v",
    "waar",
    "sim",
    "verdadeiro",
    "tak",
    "on",
    "checked",
    "x",
];
const FALSE: [&str; 12] = [
    "nein",
    "falsch",
    "non",
    "faux",
    "falso",
    "nee",
    "onwaar",
    "não",
    "nao",
    "nie",
    "off",
    "unchecked",
];
/// Marks of a list in which the others are left empty.
const MARKS: [&str; 4] = ["x", "✓", "✔", "☑"];

/// What was seen of a column.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The first word of each side that the engine does not take.
    yes: Option<String>,
    no: Option<String>,
    mark: Option<String>,
    words: bool,
    blank: bool,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    blank_is_false: bool,
}

impl Tally {
    pub(super) fn add(&mut self, text: &str) {
        if text.is_empty() {
            self.blank = true;
            return;
        }
        let word = text.to_lowercase();
        if MARKS.contains(&word.as_str()) {
            self.mark.get_or_insert_with(|| text.to_owned());
            return;
        }
        let Some(flag) = flag(&word) else {
            return;
        };
        self.words = true;
        if !ENGINE.contains(&word.as_str()) {
            let example = if flag { &mut self.yes } else { &mut self.no };
            example.get_or_insert_with(|| text.to_owned());
        }
    }

    /// The reading with a sentence about it; none if the engine takes all values as they are.
    pub(super) fn finish(self) -> Option<(Reading, String)> {
        let blank_is_false = self.mark.is_some() && self.blank && !self.words;
        let examples = [(self.mark, "true"), (self.yes, "true"), (self.no, "false")];
        let examples = examples.into_iter().filter_map(|(word, flag)| {
            let word = word?;
            Some(format!("{word} is {flag}"))
        });
        let blank = blank_is_false.then(|| "an empty value is false".to_owned());
        let examples: Vec<String> = examples.chain(blank).collect();
        let reading = Reading { blank_is_false };
        (!examples.is_empty()).then(|| (reading, examples.join(", ")))
    }
}

impl Reading {
    /// The value as the engine takes it; none if it stays as it is.
    pub(super) fn apply(self, text: &str) -> Option<&'static str> {
        if text.is_empty() {
            return self.blank_is_false.then_some("false");
        }
        if ENGINE.contains(&text) {
            return None;
        }
        flag(&text.to_lowercase()).map(|flag| if flag { "true" } else { "false" })
    }
}

fn flag(word: &str) -> Option<bool> {
    if TRUE.contains(&word)
        || MARKS.contains(&word)
        || matches!(word, "true" | "t" | "yes" | "y" | "1")
    {
        Some(true)
    } else {
        let is_false = FALSE.contains(&word) || matches!(word, "false" | "f" | "no" | "n" | "0");
        is_false.then_some(false)
    }
}
