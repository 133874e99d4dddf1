//! The text of a query, taken apart as far as a job needs: what is selected, of which object, and
//! where a condition can be added. All else is for Salesforce to judge.

use std::ops::Range;

use crate::bulk::error::BulkError;

/// A query whose clauses are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Soql {
    text: String,
    /// Where the list of what is selected stands.
    list: Range<usize>,
    /// What is selected, in its order.
    pub(super) items: Vec<Item>,
    /// The object as it is written.
    pub(super) object: String,
    pub(super) alias: Option<String>,
    /// Behind the object and its scope: a `WHERE` may begin here.
    from_end: usize,
    /// The text of the condition.
    condition: Option<Range<usize>>,
    /// Its rows are ordered or limited, or of several objects: what is true of its parts is not
    /// true of it.
    pub(super) is_whole: bool,
}

/// One thing that is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A field of the object, or of one that it refers to: `Name`, `Account.Owner.Name`.
    Path(String),
    /// `FIELDS(ALL)` and the like.
    Fields(Group),
    /// A function or something else, with the name that it is given: its alias, or its text.
    Other { text: String, name: String },
}

/// A group of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    All,
    Standard,
    Custom,
}

/// A word, a text in quotes, or another character.
#[derive(Debug, Clone)]
struct Token {
    at: Range<usize>,
    /// How many brackets it stands in.
    depth: u32,
    is_word: bool,
}

/// Words that begin what follows the object. Some are such only before another word.
const CLAUSES: [(&str, Option<&str>); 11] = [
    ("USING", Some("SCOPE")),
    ("WHERE", None),
    ("WITH", None),
    ("GROUP", Some("BY")),
    ("HAVING", None),
    ("ORDER", Some("BY")),
    ("LIMIT", None),
    ("OFFSET", None),
    ("FOR", None),
    ("ALL", Some("ROWS")),
    ("UPDATE", None),
];

const AGGREGATES: [&str; 7] = [
    "COUNT",
    "COUNT_DISTINCT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "GROUPING",
];

const BY_REST: &str = "ask for it by the REST API";

impl Soql {
    /// Reads a query.
    ///
    /// # Errors
    /// [`BulkError::Soql`] if it is none; [`BulkError::NotForBulk`] if no job can answer it.
    pub(super) fn parse(text: &str) -> Result<Self, BulkError> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let tokens = tokens(text)?;
        let words = Words {
            text,
            tokens: &tokens,
        };
        if !words.is(0, "SELECT") {
            return Err(unreadable("it does not begin with SELECT"));
        }
        let from = words.find(1, "FROM");
        let Some(from) = from else {
            return Err(unreadable("it has no FROM"));
        };
        let list = tokens[0].at.end..tokens[from].at.start;
        let items = words.items(1..from)?;
        let clauses = words.clauses(from + 1);
        let end_of = |index: usize| clauses.get(index).map_or(tokens.len(), |(_, at)| *at);
        let named = &tokens[from + 1..end_of(0)];
        let names = words.names(named)?;
        for (what, instead) in [
            ("GROUP", "GROUP BY"),
            ("HAVING", "HAVING"),
            ("OFFSET", "OFFSET"),
        ] {
            if clauses.iter().any(|(clause, _)| *clause == what) {
                return Err(not_for_bulk(instead, BY_REST, what != "OFFSET"));
            }
        }
        let place = |wanted: &str| clauses.iter().position(|(clause, _)| *clause == wanted);
        let byte_end = |index: usize| {
            let next = end_of(index);
            tokens[next - 1].at.end
        };
        let from_end = match place("USING") {
            Some(scope) => byte_end(scope + 1),
            None => byte_end(0),
        };
        let condition = place("WHERE").map(|index| {
            let begin = tokens[clauses[index].1].at.end;
            begin..byte_end(index + 1)
        });
        let is_whole = names.several
            || ["ORDER", "LIMIT"]
                .iter()
                .any(|clause| place(clause).is_some());
        Ok(Self {
            text: text.to_owned(),
            list,
            items,
            object: names.object,
            alias: names.alias,
            from_end,
            condition,
            is_whole,
        })
    }

    /// The query of these fields in place of those that it selects, for the records of which this is
    /// true too.
    pub(super) fn with(&self, selected: &[String], also: Option<&str>) -> String {
        let text = &self.text;
        let list = format!(" {} ", selected.join(", "));
        let condition = self.condition.as_ref().map(|at| text[at.clone()].trim());
        let (condition, rest) = match (condition, also, &self.condition) {
            (Some(own), Some(also), Some(at)) => (format!(" WHERE ({own}) AND {also}"), at.end),
            (_, Some(also), _) => (format!(" WHERE {also}"), self.from_end),
            _ => (String::new(), self.from_end),
        };
        format!(
            "{}{list}{}{condition}{}",
            &text[..self.list.start],
            &text[self.list.end..self.from_end],
            &text[rest..]
        )
    }
}

struct Words<'a> {
    text: &'a str,
    tokens: &'a [Token],
}

/// What stands between `FROM` and the next clause.
struct Names {
    object: String,
    alias: Option<String>,
    several: bool,
}

impl Words<'_> {
    fn text(&self, index: usize) -> &str {
        self.tokens
            .get(index)
            .map_or("", |token| &self.text[token.at.clone()])
    }

    /// Whether this word stands outside of all brackets.
    fn is(&self, index: usize, word: &str) -> bool {
        let token = self.tokens.get(index);
        token.is_some_and(|token| token.is_word && token.depth == 0)
            && self.text(index).eq_ignore_ascii_case(word)
    }

    fn find(&self, from: usize, word: &str) -> Option<usize> {
        (from..self.tokens.len()).find(|index| self.is(*index, word))
    }

    /// The clauses from a token on, and where they begin.
    fn clauses(&self, from: usize) -> Vec<(&'static str, usize)> {
        let clause = |index: usize| {
            let found = CLAUSES.iter().find(|(word, second)| {
                self.is(index, word) && second.is_none_or(|second| self.is(index + 1, second))
            });
            // A field of such a name is compared with something.
            let compared = self.text(index + 1).starts_with(['=', '!', '<', '>']);
            found.filter(|_| !compared).map(|(word, _)| (*word, index))
        };
        (from..self.tokens.len()).filter_map(clause).collect()
    }

    fn names(&self, tokens: &[Token]) -> Result<Names, BulkError> {
        let several = tokens
            .iter()
            .any(|token| &self.text[token.at.clone()] == ",");
        let mut words = tokens
            .iter()
            .take_while(|token| token.is_word)
            .map(|token| self.text[token.at.clone()].to_owned());
        let Some(object) = words.next() else {
            return Err(unreadable("no object stands behind FROM"));
        };
        let alias = words.find(|word| !word.eq_ignore_ascii_case("AS"));
        Ok(Names {
            object,
            alias,
            several,
        })
    }

    /// What is selected between these tokens.
    fn items(&self, tokens: Range<usize>) -> Result<Vec<Item>, BulkError> {
        let mut items = Vec::new();
        let mut begin = tokens.start;
        for index in tokens.clone() {
            if self.tokens[index].depth == 0 && self.text(index) == "," {
                items.push(self.item(begin..index)?);
                begin = index + 1;
            }
        }
        items.push(self.item(begin..tokens.end)?);
        Ok(items)
    }

    fn item(&self, tokens: Range<usize>) -> Result<Item, BulkError> {
        let (first, count) = (tokens.start, tokens.len());
        if count == 0 {
            return Err(unreadable("something is missing in what is selected"));
        }
        let word = self.text(first);
        let is_call = self.text(first + 1) == "(" && count > 1;
        if self.is(first, "TYPEOF") {
            return Err(not_for_bulk("TYPEOF", BY_REST, false));
        }
        if word == "(" {
            let cure = "select the children by a query of their own";
            return Err(not_for_bulk("a query in brackets", cure, false));
        }
        if is_call && AGGREGATES.iter().any(|name| self.is(first, name)) {
            let what = format!("{}()", word.to_ascii_uppercase());
            return Err(not_for_bulk(&what, BY_REST, true));
        }
        if is_call && self.is(first, "FIELDS") {
            return self.group(first + 2).map(Item::Fields);
        }
        let text = &self.text[self.tokens[first].at.start..self.tokens[tokens.end - 1].at.end];
        if count == 1 && self.tokens[first].is_word {
            return Ok(Item::Path(text.to_owned()));
        }
        let last = &self.tokens[tokens.end - 1];
        let name = match last.is_word && last.depth == 0 {
            true => self.text[last.at.clone()].to_owned(),
            false => text.to_owned(),
        };
        let text = text.to_owned();
        Ok(Item::Other { text, name })
    }

    fn group(&self, index: usize) -> Result<Group, BulkError> {
        match self.text(index).to_ascii_uppercase().as_str() {
            "ALL" => Ok(Group::All),
            "STANDARD" => Ok(Group::Standard),
            "CUSTOM" => Ok(Group::Custom),
            _ => Err(unreadable("FIELDS takes ALL, STANDARD or CUSTOM")),
        }
    }
}

/// Cuts a text into words, texts in quotes, and characters.
fn tokens(text: &str) -> Result<Vec<Token>, BulkError> {
    let is_of_words = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
    let mut tokens = Vec::new();
    let mut depth = 0_u32;
    let mut characters = text.char_indices().peekable();
    while let Some((begin, character)) = characters.next() {
        let mut end = begin + character.len_utf8();
        let is_word = is_of_words(character);
        match character {
            _ if character.is_whitespace() => continue,
            '\'' => end = end_of_quoted(text, begin)?,
            ')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| unreadable("a bracket is closed that was not opened"))?;
            }
            _ if is_word => {
                let rest = text[end..].find(|c| !is_of_words(c));
                end = rest.map_or(text.len(), |length| end + length);
            }
            _ => {}
        }
        while characters.next_if(|(at, _)| *at < end).is_some() {}
        tokens.push(Token {
            at: begin..end,
            depth,
            is_word,
        });
        if character == '(' {
            depth += 1;
        }
    }
    if depth > 0 {
        return Err(unreadable("a bracket is not closed"));
    }
    Ok(tokens)
}

/// Where the text in quotes that begins here ends. A backslash takes the next character along.
fn end_of_quoted(text: &str, begin: usize) -> Result<usize, BulkError> {
    let mut escaped = false;
    for (at, character) in text[begin + 1..].char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return Ok(begin + 1 + at + 1),
            _ => {}
        }
    }
    Err(unreadable("a text in quotes has no end"))
}

fn unreadable(reason: &str) -> BulkError {
    BulkError::Soql {
        reason: reason.to_owned(),
    }
}

fn not_for_bulk(what: &str, cure: &'static str, aggregate: bool) -> BulkError {
    BulkError::NotForBulk {
        what: what.to_owned(),
        cure: cure.to_owned(),
        aggregate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Item {
        Item::Path(name.to_owned())
    }

    #[test]
    fn what_is_selected() {
        let soql = Soql::parse(
            "select Id,Account.Name , toLabel(Status) s, FORMAT(Amount), fields( all ) \
             from Contact AS c Using scope mine where Name='a, FROM (\\'' LIMIT 3;",
        );
        let soql = soql.unwrap();
        assert_eq!(soql.items[..2], [path("Id"), path("Account.Name")]);
        assert_eq!(
            soql.items[2],
            Item::Other {
                text: "toLabel(Status) s".to_owned(),
                name: "s".to_owned()
            }
        );
        assert_eq!(
            soql.items[3],
            Item::Other {
                text: "FORMAT(Amount)".to_owned(),
                name: "FORMAT(Amount)".to_owned()
            }
        );
        assert_eq!(soql.items[4], Item::Fields(Group::All));
        assert_eq!(soql.object, "Contact");
        assert_eq!(soql.alias.as_deref(), Some("c"));
        assert!(soql.is_whole);
    }

    #[test]
    fn conditions_are_added() {
        let also = Some("Id >= '003'");
        let added = |text: &str| {
            let soql = Soql::parse(text).unwrap();
            soql.with(&["Name".to_owned(), "Id".to_owned()], also)
        };
        for (text, expected) in [
            (
                "SELECT Name FROM Contact",
                "SELECT Name, Id FROM Contact WHERE Id >= '003'",
            ),
            (
                "SELECT Name FROM Contact c USING SCOPE mine",
                "SELECT Name, Id FROM Contact c USING SCOPE mine WHERE Id >= '003'",
            ),
            (
                "SELECT Name FROM Contact where A = 1 OR B = ' LIMIT ' ",
                "SELECT Name, Id FROM Contact WHERE (A = 1 OR B = ' LIMIT ') AND Id >= '003'",
            ),
            (
                "SELECT Name FROM Contact WHERE Id IN (SELECT X FROM Y WHERE Z = 1) WITH SECURITY_ENFORCED",
                "SELECT Name, Id FROM Contact WHERE (Id IN (SELECT X FROM Y WHERE Z = 1)) \
                 AND Id >= '003' WITH SECURITY_ENFORCED",
            ),
            (
                "SELECT Name FROM Contact FOR VIEW",
                "SELECT Name, Id FROM Contact WHERE Id >= '003' FOR VIEW",
            ),
        ] {
            assert_eq!(added(text), expected);
        }
        let text = "SELECT  Name\nFROM Contact WHERE Limit = 3 ORDER BY Name";
        let soql = Soql::parse(text).unwrap();
        assert!(soql.is_whole);
        assert_eq!(
            soql.with(&["Name".to_owned()], None),
            "SELECT Name FROM Contact WHERE Limit = 3 ORDER BY Name"
        );
    }

    #[test]
    fn what_no_job_answers() {
        let errors: Vec<String> = [
            "",
            "UPDATE Contact",
            "SELECT Id",
            "SELECT Id, FROM Contact",
            "SELECT Id FROM",
            "SELECT Id FROM Contact WHERE Name = 'a",
            "SELECT Id FROM Contact WHERE (A = 1",
            "SELECT Id FROM Contact WHERE A = 1)",
            "SELECT FIELDS(SOME) FROM Contact",
            "SELECT count() FROM Contact",
            "SELECT Name, MAX(Amount) m FROM Opportunity",
            "SELECT Name FROM Contact GROUP BY Name",
            "SELECT Name FROM Contact OFFSET 5",
            "SELECT Name, (SELECT Id FROM Contacts) FROM Account",
            "SELECT TYPEOF What WHEN Account THEN Phone, Name END FROM Event",
        ]
        .iter()
        .map(|text| Soql::parse(text).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @"
        the query cannot be read: it does not begin with SELECT; write it as SELECT … FROM … WHERE …
        the query cannot be read: it does not begin with SELECT; write it as SELECT … FROM … WHERE …
        the query cannot be read: it has no FROM; write it as SELECT … FROM … WHERE …
        the query cannot be read: something is missing in what is selected; write it as SELECT … FROM … WHERE …
        the query cannot be read: no object stands behind FROM; write it as SELECT … FROM … WHERE …
        the query cannot be read: a text in quotes has no end; write it as SELECT … FROM … WHERE …
        the query cannot be read: a bracket is not closed; write it as SELECT … FROM … WHERE …
        the query cannot be read: a bracket is closed that was not opened; write it as SELECT … FROM … WHERE …
        the query cannot be read: FIELDS takes ALL, STANDARD or CUSTOM; write it as SELECT … FROM … WHERE …
        the query has COUNT(), which the Bulk API does not answer; ask for it by the REST API
        the query has MAX(), which the Bulk API does not answer; ask for it by the REST API
        the query has GROUP BY, which the Bulk API does not answer; ask for it by the REST API
        the query has OFFSET, which the Bulk API does not answer; ask for it by the REST API
        the query has a query in brackets, which the Bulk API does not answer; select the children by a query of their own
        the query has TYPEOF, which the Bulk API does not answer; ask for it by the REST API
        ");
    }
}
