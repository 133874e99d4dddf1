//! The binary: an Airbyte destination, and a simulated Salesforce.

fn main() {}
