//! What a key file is to its owner.

use std::{sync::Barrier, thread};

use tempfile::{TempDir, tempdir};

use super::*;

fn place() -> (TempDir, KeyFile) {
    let folder = tempdir().unwrap();
    let file = KeyFile::new(folder.path().join("peer.key"));
    (folder, file)
}

/// Writes a file as this crate would have created it.
fn put(file: &KeyFile, bytes: &[u8]) {
    let _ = fs::remove_file(file.path());
    write_private(file.path(), bytes).unwrap();
}

#[test]
fn a_missing_key_file_is_created_and_gives_the_same_identity_again() {
    let (folder, file) = place();
    assert!(file.load().unwrap().is_none());
    let first = file.load_or_create().unwrap();
    assert_eq!(file.load_or_create().unwrap().public(), first.public());
    assert_eq!(file.load().unwrap().unwrap().public(), first.public());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the key file alone");
}

#[test]
fn a_key_file_of_another_libp2p_program_is_read() {
    let (_folder, file) = place();
    let keypair = Keypair::generate_ed25519();
    // The specification's layout: key type 1 (Ed25519), then 64 bytes, private key and public key.
    let secret = keypair.clone().try_into_ed25519().unwrap().to_bytes();
    put(&file, &[&[8, 1, 0x12, 64][..], &secret].concat());
    assert_eq!(file.load().unwrap().unwrap().public(), keypair.public());
}

#[test]
fn a_file_that_holds_no_key_is_an_error_that_names_it_and_stays_as_it_is() {
    let (_folder, file) = place();
    file.load_or_create().unwrap();
    let good = fs::read(file.path()).unwrap();
    let mut damaged = good.clone();
    damaged[10] ^= 1;
    for content in [&b""[..], b"remember the milk", &[7; 5000], &good[..40], &damaged] {
        put(&file, content);
        let error = file.load_or_create().unwrap_err();
        assert!(matches!(error, KeyFileError::NoKey { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("peer.key") && said.contains("name another file"), "{said}");
        assert_eq!(fs::read(file.path()).unwrap(), content);
    }
}

#[test]
fn a_folder_in_the_place_of_the_key_file_is_an_error_that_names_it() {
    let folder = tempdir().unwrap();
    let error = KeyFile::new(folder.path()).load_or_create().unwrap_err();
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
}

#[test]
fn a_key_file_in_a_missing_folder_cannot_be_created() {
    let folder = tempdir().unwrap();
    let error = KeyFile::new(folder.path().join("missing/peer.key")).load_or_create().unwrap_err();
    assert!(matches!(error, KeyFileError::Uncreatable { .. }), "{error}");
}

#[test]
fn all_that_create_one_key_file_at_once_get_the_same_identity() {
    for _ in 0..20 {
        let (folder, file) = place();
        let start = Barrier::new(4);
        let keys: Vec<_> = thread::scope(|scope| {
            let create = || {
                start.wait();
                // Each has found no file when it looked.
                file.create().unwrap().public()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(file.load().unwrap().unwrap().public(), keys[0]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(file: &KeyFile, mode: u32) {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_created_key_file_is_for_its_owner_only() {
        let (_folder, file) = place();
        file.load_or_create().unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_unless_that_is_allowed() {
        let (_folder, file) = place();
        let keypair = file.load_or_create().unwrap();
        for mode in [0o640, 0o604, 0o644, 0o620] {
            set_mode(&file, mode);
            let error = file.load_or_create().unwrap_err();
            assert!(matches!(error, KeyFileError::Exposed { mode: found, .. } if found == mode));
            let said = error.to_string();
            assert!(said.contains("peer.key") && said.contains("chmod 600"), "{said}");
            let allowed = file.clone().allow_readable_by_others();
            assert_eq!(allowed.load_or_create().unwrap().public(), keypair.public());
        }
        // Read-only for its owner is fine.
        set_mode(&file, 0o400);
        assert_eq!(file.load_or_create().unwrap().public(), keypair.public());
    }

    #[test]
    fn a_link_to_a_key_file_is_followed_and_one_to_nothing_is_an_error() {
        let (folder, file) = place();
        let keypair = file.load_or_create().unwrap();
        let link = KeyFile::new(folder.path().join("link.key"));
        symlink(file.path(), link.path()).unwrap();
        assert_eq!(link.load_or_create().unwrap().public(), keypair.public());
        fs::remove_file(file.path()).unwrap();
        let error = link.load_or_create().unwrap_err();
        assert!(matches!(error, KeyFileError::Uncreatable { .. }), "{error}");
    }
}
