//! Which stream a record belongs to.

use std::collections::HashMap;

use super::keys::Keys;
use super::{DecodeError, StreamSchema};

/// The streams of a catalog by name, and the keys of each one's records.
#[derive(Debug)]
pub(super) struct Catalog {
    names: Vec<(String, Option<String>)>,
    by_name: HashMap<String, Vec<usize>>,
    keys: Vec<Keys>,
    /// The stream found last: records come in runs.
    last: usize,
}

impl Catalog {
    pub(super) fn new(streams: &[StreamSchema]) -> Result<Self, DecodeError> {
        if streams.is_empty() {
            return Err(DecodeError::NoStreams);
        }
        let mut names: Vec<(String, Option<String>)> = Vec::with_capacity(streams.len());
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, stream) in streams.iter().enumerate() {
            let namesakes = by_name.entry(stream.name().to_owned()).or_default();
            if namesakes
                .iter()
                .any(|other| streams[*other].namespace() == stream.namespace())
            {
                return Err(DecodeError::DuplicateStream {
                    stream: stream.full_name(),
                });
            }
            namesakes.push(index);
            let namespace = stream.namespace().map(str::to_owned);
            names.push((stream.name().to_owned(), namespace));
        }
        Ok(Self {
            names,
            by_name,
            keys: streams
                .iter()
                .map(|stream| Keys::new(stream.properties()))
                .collect(),
            last: 0,
        })
    }

    /// The stream of exactly this name and namespace.
    pub(super) fn find(&mut self, name: &str, namespace: Option<&str>) -> Option<usize> {
        if !self.is(self.last, name, namespace) {
            let mut namesakes = self.by_name.get(name)?.iter();
            self.last = *namesakes.find(|index| self.is(**index, name, namespace))?;
        }
        Some(self.last)
    }

    /// The stream of this name, if there is just one.
    pub(super) fn only(&self, name: &str) -> Option<usize> {
        match self.by_name.get(name)?.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The keys of a stream's records.
    pub(super) fn keys(&mut self, stream: usize) -> &mut Keys {
        &mut self.keys[stream]
    }

    fn is(&self, stream: usize, name: &str, namespace: Option<&str>) -> bool {
        self.names
            .get(stream)
            .is_some_and(|own| own.0 == name && own.1.as_deref() == namespace)
    }
}
