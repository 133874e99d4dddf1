//! The engine: rows in, jobs out, ends proved.

mod settle;
