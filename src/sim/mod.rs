//! A Salesforce of the project's own, over real HTTP.
