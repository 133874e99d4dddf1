//! Ranges of Ids: a query that is too much for one job is asked in parts.

use serde::Deserialize;

use super::jobs::Queries;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy};
use crate::object::RecordId;

/// Digits of an Id, in the order in which Salesforce sorts them.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const BASE: u128 = DIGITS.len() as u128;

/// Characters of an Id that count.
const LENGTH: usize = 15;

/// Ids from the first, if there is one, up to but not with the second, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct IdRange {
    from: Option<u128>,
    to: Option<u128>,
}

impl IdRange {
    /// The condition of the records in it; none where it holds all.
    pub(super) fn condition(self) -> Option<String> {
        let from = self.from.map(|from| format!("Id >= '{}'", id(from)));
        let to = self.to.map(|to| format!("Id < '{}'", id(to)));
        match (from, to) {
            (Some(from), Some(to)) => Some(format!("{from} AND {to}")),
            (from, to) => from.or(to),
        }
    }

    /// As many ranges as this, or fewer, that are this one together. The records at its ends have these
    /// Ids; what lies outside of them is in the first and the last range.
    pub(super) fn split(self, least: &RecordId, most: &RecordId, parts: u32) -> Vec<Self> {
        let least = number(least).max(self.from.unwrap_or(0));
        let most = number(most).min(self.to.map_or(u128::MAX, |to| to.saturating_sub(1)));
        let width = most.saturating_sub(least) + 1;
        let parts = u128::from(parts).min(width);
        let mut bounds: Vec<Option<u128>> = vec![self.from];
        // In this order nothing overflows: an Id has 90 bits, and parts are few.
        bounds.extend((1..parts).map(|part| Some(least + width * part / parts)));
        bounds.push(self.to);
        bounds
            .windows(2)
            .map(|pair| Self {
                from: pair[0],
                to: pair[1],
            })
            .collect()
    }
}

/// An Id as a number of base 62.
fn number(id: &RecordId) -> u128 {
    let digit = |character: &u8| DIGITS.iter().position(|digit| digit == character);
    id.as_bytes().iter().fold(0, |number, character| {
        number * BASE + digit(character).unwrap_or_default() as u128
    })
}

/// The number as an Id of 15 characters.
fn id(mut number: u128) -> String {
    let mut id = [b'0'; LENGTH];
    for character in id.iter_mut().rev() {
        *character = DIGITS[(number % BASE) as usize];
        number /= BASE;
    }
    id.iter().copied().map(char::from).collect()
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Id")]
    id: String,
}

impl Queries {
    /// This range in parts; none if the object has no records in it, as far as that can be seen.
    pub(super) async fn split(
        &self,
        object: &str,
        deleted: bool,
        range: IdRange,
        parts: u32,
    ) -> Result<Vec<IdRange>, BulkError> {
        let least = self.end(object, deleted, range, "").await?;
        let most = self.end(object, deleted, range, " DESC").await?;
        let (Some(least), Some(most)) = (least, most) else {
            return Ok(vec![range]);
        };
        Ok(range.split(&least, &most, parts))
    }

    /// The smallest Id of the object in a range, or the largest.
    async fn end(
        &self,
        object: &str,
        deleted: bool,
        range: IdRange,
        order: &str,
    ) -> Result<Option<RecordId>, BulkError> {
        let condition = range.condition();
        let condition = condition.map_or_else(String::new, |text| format!(" WHERE {text}"));
        let query = format!("SELECT Id FROM {object}{condition} ORDER BY Id{order} LIMIT 1");
        let action = format!("looking for the ends of the Ids of {object}");
        let path = [if deleted { "queryAll" } else { "query" }];
        let mut call = Call::get(&action, &path, Policy::InFlight);
        let parameters = [("q", query.as_str())];
        call.query = &parameters;
        let answer: Answer = self.connection.read_json(&call).await?;
        let first = answer.records.first();
        Ok(first.and_then(|record| RecordId::parse(&record.id)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> RecordId {
        RecordId::parse(text).unwrap()
    }

    #[test]
    fn ids_are_numbers() {
        for text in ["000000000000000", "0035g00000XyZaB", "zzzzzzzzzzzzzzz"] {
            assert_eq!(id(number(&of(text))), text);
        }
    }

    #[test]
    fn conditions_of_the_parts() {
        let parts = IdRange::default().split(&of("003000000000000"), &of("00300000000000z"), 3);
        let conditions: Vec<_> = parts.iter().map(|part| part.condition()).collect();
        assert_eq!(
            conditions,
            [
                Some("Id < '00300000000000K'".to_owned()),
                Some("Id >= '00300000000000K' AND Id < '00300000000000f'".to_owned()),
                Some("Id >= '00300000000000f'".to_owned()),
            ]
        );
        let one = IdRange::default().split(&of("003000000000000"), &of("003000000000000"), 9);
        assert_eq!(one, [IdRange::default()]);
        assert_eq!(one[0].condition(), None);
    }

    proptest! {
        #[test]
        fn each_id_is_in_one_part(
            ids in proptest::collection::vec("[0-9A-Za-z]{15}", 3),
            parts in 1..50_u32,
            again in 1..9_u32,
        ) {
            let (least, most) = (of(&ids[0]).min(of(&ids[1])), of(&ids[0]).max(of(&ids[1])));
            let mut ranges = IdRange::default().split(&least, &most, parts);
            let middle = ranges.len() / 2;
            let inner = ranges.remove(middle).split(&least, &most, again);
            ranges.splice(middle..middle, inner);
            for id in &ids {
                let number = number(&of(id));
                let holds = |range: &&IdRange| {
                    range.from.is_none_or(|from| number >= from)
                        && range.to.is_none_or(|to| number < to)
                };
                prop_assert_eq!(ranges.iter().filter(holds).count(), 1);
            }
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
            }
        }
    }
}
