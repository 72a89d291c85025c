//! What goes through the one pipe of a relay: frames of several connections, told apart by a number. PURE.

/// The longest payload, in bytes.
pub const LONGEST: usize = 32 * 1024;

/// The head of a frame: a kind, the connection, the length of the payload.
pub const HEAD: usize = 9;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The connection that it belongs to.
    pub connection: u32,
    /// Data, or a number.
    pub payload: Vec<u8>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The far end is there.
    Hello,
    /// A new connection, to the target of the number in the payload.
    Open,
    /// Bytes.
    Data,
    /// No more bytes will come in this direction.
    End,
    /// So many bytes were handed on: as many more may be sent.
    Credit,
    /// The connection is broken.
    Reset,
}

const KINDS: [Kind; 6] = [
    Kind::Hello,
    Kind::Open,
    Kind::Data,
    Kind::End,
    Kind::Credit,
    Kind::Reset,
];

impl Frame {
    /// A frame without a payload.
    #[must_use]
    pub fn new(kind: Kind, connection: u32) -> Self {
        Self {
            kind,
            connection,
            payload: Vec::new(),
        }
    }

    /// A frame that tells a number.
    #[must_use]
    pub fn with_number(kind: Kind, connection: u32, number: u32) -> Self {
        Self {
            kind,
            connection,
            payload: number.to_be_bytes().to_vec(),
        }
    }

    /// The number that it tells.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.payload
            .as_slice()
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    /// The bytes of the frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let kind = KINDS
            .iter()
            .position(|kind| *kind == self.kind)
            .unwrap_or_default();
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEAD + self.payload.len());
        bytes.push(u8::try_from(kind).unwrap_or_default());
        bytes.extend(self.connection.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// Reads a head: the frame without its payload, and the payload's length. `None` for what is no frame.
#[must_use]
pub fn head(bytes: [u8; HEAD]) -> Option<(Frame, usize)> {
    let [kind, connection @ .., _, _, _, _] = bytes;
    let [.., a, b, c, d] = bytes;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    let kind = *KINDS.get(usize::from(kind))?;
    (length <= LONGEST).then(|| (Frame::new(kind, u32::from_be_bytes(connection)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        for kind in KINDS {
            let frame = Frame::with_number(kind, 70_000, 1 << 20);
            let bytes = frame.bytes();
            let (read, length) = head(bytes[..HEAD].try_into().expect("a head")).expect("a frame");
            assert_eq!((read.kind, read.connection, length), (kind, 70_000, 4));
            assert_eq!(frame.number(), Some(1 << 20));
        }
        assert_eq!(Frame::new(Kind::End, 1).number(), None);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(head([9, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(head([2, 0, 0, 0, 0, 0xff, 0, 0, 0]), None);
        assert_eq!(head(*b"slurmstep"), None);
    }
}
