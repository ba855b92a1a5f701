//! The only die: random numbers of the operating system.

use zeroize::Zeroizing;

/// Gives random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    tegata_pki::key::random()
}

/// Gives a random number.
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Gives a name that nothing else has.
pub fn name() -> String {
    data_encoding::HEXLOWER.encode(&bytes::<8>())
}

/// Gives a password that nobody has to remember: 128 random bits.
pub fn password() -> Zeroizing<String> {
    Zeroizing::new(data_encoding::HEXLOWER.encode(&bytes::<16>()))
}
