//! Which stream a record belongs to.

use std::collections::HashMap;

use super::{CatalogError, StreamSchema};

/// The streams of a catalog by name.
#[derive(Debug)]
pub(super) struct Streams {
    names: Vec<Name>,
    by_name: HashMap<String, Vec<usize>>,
    /// The stream found last: records come in runs.
    last: usize,
}

#[derive(Debug)]
struct Name {
    name: String,
    namespace: Option<String>,
    /// No other stream has this name.
    alone: bool,
}

impl Streams {
    pub(super) fn new(streams: &[StreamSchema]) -> Result<Self, CatalogError> {
        if streams.is_empty() {
            return Err(CatalogError::NoStreams);
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, stream) in streams.iter().enumerate() {
            let namesakes = by_name.entry(stream.name().to_owned()).or_default();
            if namesakes
                .iter()
                .any(|other| streams[*other].namespace() == stream.namespace())
            {
                return Err(CatalogError::DuplicateStream {
                    stream: stream.full_name(),
                });
            }
            namesakes.push(index);
        }
        let names = streams.iter().map(|stream| Name {
            name: stream.name().to_owned(),
            namespace: stream.namespace().map(str::to_owned),
            alone: by_name.get(stream.name()).is_some_and(|all| all.len() == 1),
        });
        Ok(Self {
            names: names.collect(),
            by_name,
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
        match self.names.get(self.last) {
            Some(last) if last.alone && last.name == name => Some(self.last),
            _ => match self.by_name.get(name)?.as_slice() {
                [one] => Some(*one),
                _ => None,
            },
        }
    }

    fn is(&self, stream: usize, name: &str, namespace: Option<&str>) -> bool {
        self.names
            .get(stream)
            .is_some_and(|own| own.name == name && own.namespace.as_deref() == namespace)
    }
}
