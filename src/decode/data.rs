//! The data of a record -> the cells of its row.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::json::{NO_OBJECT, Sink, Undecodable};
use super::keys::{Key, Keys};
use super::value::{self, Cell, Text};

/// Reads the data of a record into cells; answers whether it has a key without a column.
pub(super) struct DataSeed<'s, 'k, 'a> {
    pub(super) stream: usize,
    pub(super) sink: &'s mut Sink<'k, 'a>,
}

impl<'a> DeserializeSeed<'a> for DataSeed<'_, '_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        // Holds until the visitor sees that it is an object.
        self.sink.problem = Some(Undecodable::new(NO_OBJECT));
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for DataSeed<'_, '_, 'a> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<bool, A::Error> {
        let Self { stream, sink } = self;
        sink.problem = None;
        let keys = sink.catalog.keys(stream);
        keys.start_record();
        sink.cells.clear();
        sink.cells.resize(keys.columns(), Cell::Missing);
        let mut unknown_key = false;
        while let Some(key) = map.next_key_seed(KeySeed(&mut *keys))? {
            let column = match key {
                Key::Column(column) => Some(column),
                Key::Shadowed | Key::Unknown => None,
            };
            unknown_key |= key == Key::Unknown;
            let cell = if sink.exact || !keys.is_plain() {
                let raw = sink.line.raw(&mut map)?;
                if !value::is_plain(&raw) {
                    keys.set_not_plain();
                }
                value::cell(raw).map_err(|reason| {
                    let field = column.and_then(|column| keys.column_name(column));
                    sink.problem = Some(Undecodable {
                        reason,
                        field: field.map(str::to_owned),
                    });
                    A::Error::custom(reason)
                })?
            } else {
                map.next_value_seed(PlainSeed)?
            };
            if let Some(place) = column.and_then(|column| sink.cells.get_mut(column)) {
                *place = cell.into();
            }
        }
        Ok(unknown_key)
    }
}

struct KeySeed<'s>(&'s mut Keys);

impl<'a> DeserializeSeed<'a> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(self.0.find(name))
    }
}

/// Reads a string, a boolean or null; anything else is an error, since its exact text would be lost.
struct PlainSeed;

impl<'a> DeserializeSeed<'a> for PlainSeed {
    type Value = Text<'a>;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for PlainSeed {
    type Value = Text<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a boolean or null")
    }

    #[inline]
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Text<'a>, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text<'a>, E> {
        Ok(Some(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_unit<E>(self) -> Result<Text<'a>, E> {
        Ok(None)
    }
}
