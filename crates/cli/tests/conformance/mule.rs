//! What the cases of Mule's flows and stores share: an application read from XML, run by the real engine
//! on virtual time, in a world that a case writes down.

pub mod app;
pub mod value;
pub mod world;
