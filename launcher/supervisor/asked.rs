//! What clients and the user ask for. PURE.

/// Whom a client has asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The engine of this id.
    Engine(u32),
    /// The hub, and with it the controller.
    Hub,
}

/// What has become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is being seen to.
    Running,
    /// It is done; the text tells what is there.
    Done(String),
    /// Nothing more comes of it; the text tells why.
    Failed(String),
}
