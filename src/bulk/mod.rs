//! Salesforce over HTTP: the only module that knows reqwest.
