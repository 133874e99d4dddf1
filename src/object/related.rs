//! The objects that lookups point to.

use std::collections::HashMap;

use super::ObjectSchema;

/// Objects that relationship columns need, found by name in any letter case. One that the user may
/// not see is not among them.
#[derive(Debug, Clone, Default)]
pub struct RelatedObjects {
    by_lower_name: HashMap<String, ObjectSchema>,
}

impl RelatedObjects {
    /// The object of this name, whatever the letter case.
    pub fn get(&self, name: &str) -> Option<&ObjectSchema> {
        self.by_lower_name.get(&name.to_ascii_lowercase())
    }
}

impl FromIterator<ObjectSchema> for RelatedObjects {
    fn from_iter<I: IntoIterator<Item = ObjectSchema>>(objects: I) -> Self {
        let named = objects
            .into_iter()
            .map(|object| (object.name.to_ascii_lowercase(), object));
        Self {
            by_lower_name: named.collect(),
        }
    }
}

impl Extend<ObjectSchema> for RelatedObjects {
    fn extend<I: IntoIterator<Item = ObjectSchema>>(&mut self, objects: I) {
        self.by_lower_name
            .extend(objects.into_iter().collect::<Self>().by_lower_name);
    }
}
