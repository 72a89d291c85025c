//! Encryption of all that passes the controller's ports, by `CurveZMQ`. The controller has a key pair; who knows its public half (engines and
//! clients, from their connection files) can speak to it and to nobody who pretends to be it. PURE: random numbers come in.
//!
//! docs/design/encryption.md explains the design.

use super::settings::Curve;
use super::text::Text;
use super::version::Version;
use crate::failure::{Failure, Outcome};
use x25519_dalek::{PublicKey, StaticSecret};

/// The controller's key pair, both halves in ZeroMQ's notation: Z85, 40 characters.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Engines and clients need it; nobody else may have it, because it lets in.
    pub public: Text,
    /// Only the controller has it.
    pub secret: Text,
}

impl Pair {
    /// The pair of 256 random bits.
    #[must_use]
    pub fn of(random: [u8; 32]) -> Self {
        let public = PublicKey::from(&StaticSecret::from(random));
        Self {
            public: Text::Secret(z85(public.as_bytes())),
            secret: Text::Secret(z85(&random)),
        }
    }
}

/// Digits of Z85 (ZeroMQ RFC 32), by their values.
const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Four bytes as five digits, the highest first.
fn z85(bytes: &[u8; 32]) -> String {
    let (words, _) = bytes.as_chunks::<4>();
    words
        .iter()
        .flat_map(|word| {
            let number = u32::from_be_bytes(*word);
            [52_200_625, 614_125, 7225, 85, 1].map(|place| (number / place % 85) as usize)
        })
        .map(|digit| char::from(DIGITS[digit]))
        .collect()
}

/// Whether messages are encrypted.
pub fn decide(asked: Curve, ipyparallel: &Version) -> Outcome<bool> {
    // ipyparallel 7.0 knows nothing of it.
    let is_known = ipyparallel >= &Version::of(&[7, 1]);
    match asked {
        Curve::On if !is_known => Err(Failure::missing(format!(
            "--curve on needs ipyparallel 7.1 or later; this is {ipyparallel}"
        ))
        .hint("`pip install -U ipyparallel`, or --curve off")),
        Curve::On => Ok(true),
        Curve::Off => Ok(false),
        Curve::Auto => Ok(is_known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_zeromq() {
        // RFC 7748, section 6.1: Alice's pair.
        let secret = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ];
        let pair = Pair::of(secret);
        assert_eq!(pair.public.reveal(), z85(&public));
        // RFC 32: HelloWorld.
        let mut hello = [0; 32];
        hello[..8].copy_from_slice(&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]);
        assert!(z85(&hello).starts_with("HelloWorld"));
        assert_eq!(z85(&[0xff; 32]), "%nSc0".repeat(8));
    }

    #[test]
    fn it_is_on_wherever_it_can_be() {
        let decided = |asked, text: &str| {
            let version = Version::parse(text).expect("a version");
            decide(asked, &version)
        };
        assert_eq!(decided(Curve::Auto, "9.2.0"), Ok(true));
        assert_eq!(decided(Curve::Auto, "7.1.0"), Ok(true));
        assert_eq!(decided(Curve::Auto, "7.0.1"), Ok(false));
        assert_eq!(decided(Curve::On, "9.2.0"), Ok(true));
        assert_eq!(decided(Curve::Off, "9.2.0"), Ok(false));
        assert!(decided(Curve::On, "7.0.1").is_err());
    }
}
