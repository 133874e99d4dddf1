//! Logins by a person: at a browser of this machine, or by a code on another device.

mod app;
mod code;
mod device;
mod refusal;
#[cfg(test)]
mod tests;

pub use app::{App, Granted};
pub use code::CodeLogin;
pub use device::DeviceLogin;
