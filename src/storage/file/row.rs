//! A row as the file has it: the value, and a checksum behind it. The database checks its pages when it opens a file, if
//! at all, and not when it reads them.

use super::{super::Table, trouble::Trouble};

const CHECKSUM_BYTES: usize = 4;

/// What is stored for a value.
pub(super) fn stored(table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + CHECKSUM_BYTES);
    stored.extend_from_slice(value);
    stored.extend_from_slice(&checksum(table, key, value).to_le_bytes());
    stored
}

/// The value of what is stored, if it is what was written.
pub(super) fn value(table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, Trouble> {
    match stored.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((value, last)) if checksum(table, key, value).to_le_bytes() == *last => {
            Ok(value.to_vec())
        }
        _ => Err(Trouble::Damage(format!("a row of the table {table} is not what was written"))),
    }
}

/// Over all that makes the row, so that a row of another table or key is noticed too.
fn checksum(table: Table, key: &[u8], value: &[u8]) -> u32 {
    let length = (key.len() as u64).to_le_bytes();
    let parts = [table.name().as_bytes(), &length, key, value];
    !parts.into_iter().fold(!0, crc32)
}

/// CRC-32 as of IEEE 802.3, in its reflected form.
fn crc32(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| {
        let [low, ..] = state.to_le_bytes();
        let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
        (state >> 8) ^ entry
    })
}

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut entry = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            entry = if entry & 1 == 1 { (entry >> 1) ^ 0xedb8_8320 } else { entry >> 1 };
            bit += 1;
        }
        table[byte] = entry;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_common_crc_32() {
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_row_under_another_key_or_in_another_table_is_noticed() {
        let row = stored(Table::Own, b"key", b"value");
        assert_eq!(value(Table::Own, b"key", &row).ok(), Some(b"value".to_vec()));
        assert!(value(Table::Held, b"key", &row).is_err());
        assert!(value(Table::Own, b"kez", &row).is_err());
        assert!(value(Table::Own, b"key", &row[1..]).is_err());
        assert!(value(Table::Own, b"key", b"").is_err());
    }
}
