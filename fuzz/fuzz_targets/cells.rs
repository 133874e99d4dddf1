#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| arrow_salesforce_fuzz::cells(bytes));
