//! What a person, or a program, sees of a load.
