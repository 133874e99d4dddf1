//! CSV as people have it.
