//! What stands in an entry for a text that may name a person: a commitment to it. The text itself and its salt are kept elsewhere, and can be
//! erased there: the entry and its proofs stay what they are, and nobody can tell any more what the text was.

use crate::merkle::hash;

/// Nothing else that is hashed here begins with it.
const DOMAIN: &[u8] = b"tegata.dev/personal-text@v1\n";

/// SHA-256 over a prefix, the salt and the text. With 32 random bytes that are gone, also a text that could be guessed cannot be recognised.
pub fn commitment(salt: &[u8; 32], text: &str) -> [u8; 32] {
    hash(&[DOMAIN, salt, text.as_bytes()]).0
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn it_is_as_anybody_can_compute_it() {
        // printf 'tegata.dev/personal-text@v1\n' followed by 32 zero bytes and 'ito', by sha256sum.
        assert_eq!(HEXLOWER.encode(&commitment(&[0; 32], "ito")), "feb6bee9a9c3b22c5b70390c5a73ff8a3bdca1f5bdd2f6237384505a1577b0e0");
        assert_ne!(commitment(&[0; 32], "ito"), commitment(&[1; 32], "ito"), "the same text twice cannot be recognised");
        assert_ne!(commitment(&[0; 32], "ito"), commitment(&[0; 32], "ito "));
    }
}
