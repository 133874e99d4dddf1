//! The Airbyte destination.
