//! How people wrote numbers, dates and yes or no.
