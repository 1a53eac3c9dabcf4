//! Publishers who sign for an owner: what they may, and when they no longer may.

use super::*;
use crate::{error::Error, package::Deprecation};

const DAY: u64 = 86_400;

/// Key 1 is the owner's; it delegates to key 2. Key 3 is a thief's.
fn delegation(epoch: u32) -> Delegation {
    let validity = Validity::starting(NOW - DAY, 90 * DAY);
    Delegation::sign(&keypair(1), &main_net(), peer(2), epoch, validity).unwrap()
}

fn live_by(delegation: &Delegation, sequence: u64) -> Head {
    let mut head = live(sequence);
    head.revision.epoch = delegation.epoch();
    head.ext = delegation.to_ext();
    head
}

fn head_in(epoch: u32, sequence: u64) -> Signed<Head> {
    Signed::sign(&keypair(2), live_by(&delegation(epoch), sequence)).unwrap()
}

fn claim_in(epoch: u32) -> Signed<Claim> {
    let revision = Revision::new(epoch, 1);
    let mut claim = Claim::new(main_net(), peer(1), name(), revision, day(), ClaimStatus::Active);
    claim.ext = delegation(epoch).to_ext();
    Signed::sign(&keypair(2), claim).unwrap()
}

fn set_in(epoch: u32) -> ClaimSet {
    ClaimSet::empty(main_net(), name()).with(claim_in(epoch), NOW)
}

/// A release and a page, which are found by the digest in a head.
fn written_once(ext: &[u8]) -> (Release, Page) {
    let mut release = release().body().clone();
    release.ext = ext.to_vec();
    let mut page = page().body().clone();
    page.ext = ext.to_vec();
    (release, page)
}

fn verify_head(bytes: &[u8], now: u64, seen: impl Seen) -> Result<Record, Rejected> {
    Record::verify(&main_net(), &head(1).key(), bytes, now, seen)
}

fn floor(epoch: u32) -> impl Seen {
    SeenBy(|_, _: &PeerId, _: &PackageName| None, epoch)
}

#[test]
fn a_publisher_signs_what_is_the_owner_s() {
    let head = head_in(3, 7);
    assert_eq!(verify(&head.key(), head.bytes()), Ok(Record::Head(head.clone())));
    assert_eq!((*head.owner(), head.signer()), (peer(1), peer(2)));
    assert_eq!(head.delegation(), Some(delegation(3)));
    assert_eq!(head.key(), super::head(1).key(), "it belongs where the owner's own would");
    let announced = Signed::<Head>::verify_announcement(&main_net(), head.bytes(), NOW, ());
    assert_eq!(announced, Ok(head));

    let (set, claim) = (set_in(3), claim_in(3));
    let expected = Record::Claims { set: set.clone(), dropped: 0 };
    assert_eq!(verify(&set.key(), &set.to_bytes()), Ok(expected));
    assert_eq!(set.active_owners(&name()), [peer(1)]);
    assert_eq!(Signed::verify_claim(&main_net(), claim.bytes(), NOW, ()), Ok(claim));

    let own = super::head(1);
    assert_eq!((own.signer(), own.delegation()), (peer(1), None));
}

#[test]
fn a_delegation_is_for_one_publisher() {
    let stolen = live_by(&delegation(0), 1);
    assert_eq!(verify_head(&forge(&keypair(3), &stolen), NOW, ()), Err(Rejected::Signature));
    let error = Signed::sign(&keypair(3), stolen.clone()).unwrap_err();
    assert!(matches!(error, Error::Invalid { field, .. } if field == "ext"));
    // The publisher's key put in place of the thief's does not help.
    let mut bytes = forge(&keypair(3), &stolen);
    bytes[2..34].copy_from_slice(&head_in(0, 1).bytes()[2..34]);
    assert_eq!(verify_head(&bytes, NOW, ()), Err(Rejected::Signature));
}

#[test]
fn a_delegation_is_by_the_owner_and_for_its_network() {
    let validity = delegation(0).validity();
    let other_net: NetworkName = "other".parse().unwrap();
    for bad in [
        Delegation::sign(&keypair(3), &main_net(), peer(2), 0, validity).unwrap(),
        Delegation::sign(&keypair(1), &other_net, peer(2), 0, validity).unwrap(),
    ] {
        let head = live_by(&bad, 1);
        assert_eq!(verify_head(&forge(&keypair(2), &head), NOW, ()), Err(Rejected::Signature));
        assert!(Signed::sign(&keypair(2), head).is_err());
    }
    assert_eq!(verify_head(&forge(&keypair(2), &live(1)), NOW, ()), Err(Rejected::Signer));
}

#[test]
fn the_owner_itself_needs_no_delegation_and_takes_none() {
    let head = live_by(&delegation(0), 1);
    assert_eq!(verify_head(&forge(&keypair(1), &head), NOW, ()), Err(Rejected::Signer));
    let error = Signed::sign(&keypair(1), head).unwrap_err();
    assert!(matches!(error, Error::Invalid { field, .. } if field == "ext"));
    let validity = delegation(0).validity();
    let error = Delegation::sign(&keypair(1), &main_net(), peer(1), 0, validity).unwrap_err();
    assert!(matches!(error, Error::Invalid { field, .. } if field == "publisher"));
}

#[test]
fn a_publisher_cannot_outbid_the_owner() {
    for epoch in [0, 2, u32::MAX] {
        let mut head = live_by(&delegation(1), u64::MAX);
        head.revision.epoch = epoch;
        let rejected = verify_head(&forge(&keypair(2), &head), NOW, ());
        assert!(matches!(rejected, Err(Rejected::Delegation { .. })), "{rejected:?}");
        assert!(Signed::sign(&keypair(2), head).is_err());

        let mut claim = claim_in(1).body().clone();
        claim.revision.epoch = epoch;
        let rejected = Signed::verify_claim(&main_net(), &forge(&keypair(2), &claim), NOW, ());
        assert!(matches!(rejected, Err(Rejected::Delegation { .. })), "{rejected:?}");
    }
}

#[test]
fn no_record_outlives_its_delegation() {
    let short = Validity { issued: NOW, expires: day().expires - 1 };
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 0, short).unwrap();
    let head = live_by(&delegation, 1);
    let rejected = verify_head(&forge(&keypair(2), &head), NOW, ());
    assert!(matches!(rejected, Err(Rejected::Delegation { .. })), "{rejected:?}");
    assert!(Signed::sign(&keypair(2), head.clone()).is_err());

    let mut head = head;
    head.validity.expires = short.expires;
    let head = Signed::sign(&keypair(2), head).unwrap();
    assert!(verify_head(head.bytes(), short.expires - 1, ()).is_ok());
    let expires = short.expires;
    let at_its_end = verify_head(head.bytes(), expires, ());
    assert_eq!(at_its_end, Err(Rejected::Expired { expires, now: expires }));
}

#[test]
fn a_delegation_holds_from_its_issue_give_or_take_the_clocks() {
    let issued = NOW + DAY / 2;
    let later = Validity::starting(issued, DAY);
    let delegation = Delegation::sign(&keypair(1), &main_net(), peer(2), 0, later).unwrap();
    let head = Signed::sign(&keypair(2), live_by(&delegation, 1)).unwrap();
    assert_eq!(verify_head(head.bytes(), NOW, ()), Err(Rejected::Future { issued, now: NOW }));
    assert!(verify_head(head.bytes(), issued - MAX_CLOCK_SKEW_SECS, ()).is_ok());
    assert_eq!(delegation.check_time(NOW), Err(Rejected::Future { issued, now: NOW }));
    assert_eq!(delegation.check_time(issued), Ok(()));
    let expires = later.expires;
    let over = Rejected::Expired { expires, now: expires };
    assert_eq!(delegation.check_time(expires), Err(over));
}

#[test]
fn of_what_is_written_once_only_the_signatures_count() {
    let (release, page) = written_once(&delegation(0).to_ext());
    for now in [0, NOW, u64::MAX] {
        // Whatever epoch the owner has come to meanwhile.
        let release = Signed::sign(&keypair(2), release.clone()).unwrap();
        let read = Record::verify(&main_net(), &release.key(), release.bytes(), now, floor(9));
        assert_eq!(read, Ok(Record::Release(release)));
        let page = Signed::sign(&keypair(2), page.clone()).unwrap();
        let read = Record::verify(&main_net(), &page.key(), page.bytes(), now, floor(9));
        assert_eq!(read, Ok(Record::Page(page)));
    }
    let key = RecordKey::release(&main_net(), &peer(1), &name(), release.version());
    assert_eq!(verify(&key, &forge(&keypair(3), &release)), Err(Rejected::Signature));
    let (release, _) = written_once(b"");
    assert_eq!(verify(&key, &forge(&keypair(2), &release)), Err(Rejected::Signer));
}

#[test]
fn a_higher_epoch_revokes_what_is_delegated_in_a_lower_one() {
    let head = head_in(1, u64::MAX);
    let revoked = Rejected::Revoked { epoch: 1, floor: 2 };
    assert!(verify_head(head.bytes(), NOW, floor(1)).is_ok());
    assert_eq!(verify_head(head.bytes(), NOW, floor(2)), Err(revoked.clone()));
    assert!(revoked.is_excusable(), "whoever has not heard of it holds it without fault");
    let announced = Signed::<Head>::verify_announcement(&main_net(), head.bytes(), NOW, floor(2));
    assert_eq!(announced, Err(revoked.clone()));
    let set = set_in(1);
    let read = Record::verify(&main_net(), &set.key(), &set.to_bytes(), NOW, floor(2));
    assert_eq!(read, Err(revoked.clone()));
    let read = Signed::verify_claim(&main_net(), claim_in(1).bytes(), NOW, floor(2));
    assert_eq!(read, Err(revoked));
    assert!(verify_head(head_in(2, 1).bytes(), NOW, floor(2)).is_ok());
    // The owner's own key is not revoked by any epoch.
    assert!(verify_head(super::head(1).bytes(), NOW, floor(2)).is_ok());
}

#[test]
fn nobody_speaks_in_the_name_of_another() {
    let mut message = message().body().clone();
    message.ext = delegation(0).to_ext();
    assert!(Signed::sign(&keypair(2), message.clone()).is_err());
    let forged = forge(&keypair(2), &message);
    assert_eq!(Signed::verify_message(&main_net(), &forged, NOW), Err(Rejected::Signer));
    // The author's own may carry what it likes.
    let own = Signed::sign(&keypair(1), message).unwrap();
    assert_eq!(Signed::verify_message(&main_net(), own.bytes(), NOW), Ok(own.clone()));
    assert_eq!((own.signer(), own.delegation()), (peer(1), None));
}

#[test]
fn the_longest_names_and_numbers_leave_room_for_a_delegation_in_a_claim() {
    let network: NetworkName = "n".repeat(NetworkName::MAX_BYTES).parse().unwrap();
    let name: PackageName = "p".repeat(PackageName::MAX_BYTES).parse().unwrap();
    // The last second before times take another byte, four of which stand in a claim.
    let last = (1 << 42) - 1;
    let (revision, validity) =
        (Revision::new(u32::MAX, u64::MAX), Validity { issued: last - 9, expires: last });
    let publisher = peer(2);
    let delegation =
        Delegation::sign(&keypair(1), &network, publisher, u32::MAX, validity).unwrap();
    let status = ClaimStatus::Withdrawn;
    let mut claim = Claim::new(network.clone(), peer(1), name, revision, validity, status);
    claim.ext = delegation.to_ext();
    let claim = Signed::sign(&keypair(2), claim).unwrap();
    assert_eq!(claim.bytes().len(), Claim::MAX_BYTES);
    assert_eq!(Signed::verify_claim(&network, claim.bytes(), last - 1, ()), Ok(claim));
}

#[test]
fn a_delegation_in_a_record_is_read_strictly() {
    let ext = delegation(0).to_ext();
    let overlong = [&[1, 0x80, 0], &ext[2..]].concat();
    let endless = {
        let validity = Validity { issued: NOW, expires: NOW + MAX_DELEGATION_SECS + 1 };
        [&[1], &*codec::encode(&(0_u32, validity.issued, validity.expires)).unwrap(), &[0; 64]]
            .concat()
    };
    for bad in [&overlong[..], &ext[..ext.len() - 1], &[1], &endless] {
        let mut head = live(1);
        head.ext = bad.to_vec();
        for signer in [1, 2] {
            let rejected = verify_head(&forge(&keypair(signer), &head), NOW, ());
            assert!(
                matches!(rejected, Err(Rejected::Encoding { .. } | Rejected::Delegation { .. })),
                "{rejected:?}"
            );
            assert!(Signed::sign(&keypair(signer), head.clone()).is_err());
        }
    }
    // What begins otherwise is for later versions, and makes nobody a publisher.
    for later in [&[0][..], &[2], &[0x80, 1], &[&[2], &*ext].concat()] {
        let mut head = live(1);
        head.ext = later.to_vec();
        assert!(verify_head(&forge(&keypair(1), &head), NOW, ()).is_ok());
        assert_eq!(verify_head(&forge(&keypair(2), &head), NOW, ()), Err(Rejected::Signer));
    }
}

#[test]
fn no_bit_of_a_delegated_record_or_of_a_delegation_can_be_changed() {
    let head = head_in(1, 1);
    for bit in 0..head.bytes().len() * 8 {
        let mut flipped = head.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_head(&flipped, NOW, ()).is_err(), "bit {bit}");
    }
    let bytes = delegation(1).to_bytes();
    assert_eq!(Delegation::from_bytes(&bytes), Ok(delegation(1)));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let verified = Delegation::from_bytes(&flipped).and_then(|read| read.verify());
        assert!(verified.is_err(), "bit {bit}");
    }
    for short in 0..bytes.len() {
        assert!(Delegation::from_bytes(&bytes[..short]).is_err());
    }
    let trailing = Delegation::from_bytes(&[&*bytes, &[0]].concat());
    assert_eq!(trailing, Err(Rejected::encoding("bytes follow the body")));
}

#[test]
fn an_owner_s_key_that_anybody_can_sign_with_delegates_nothing() {
    let mut bytes = delegation(0).to_bytes();
    let owner = 2 + 1 + main_net().as_str().len();
    for y in signature::WEAK_Y {
        bytes[owner..owner + 32].copy_from_slice(&y);
        let weak = Delegation::from_bytes(&bytes).unwrap();
        assert_eq!(weak.verify(), Err(Rejected::Signer));
    }
}

#[test]
fn a_delegation_is_no_record_and_lasts_a_year_at_most() {
    let bytes = delegation(0).to_bytes();
    assert_eq!(verify(&head(1).key(), &bytes), Err(Rejected::Kind { found: 0x42 }));
    let no_delegation = Delegation::from_bytes(head(1).bytes());
    assert_eq!(no_delegation, Err(Rejected::Kind { found: 1 }));
    let of = |seconds| {
        let validity = Validity::starting(NOW, seconds);
        Delegation::sign(&keypair(1), &main_net(), peer(2), 0, validity)
    };
    assert!(of(1).is_ok() && of(MAX_DELEGATION_SECS).is_ok());
    assert!(of(0).is_err() && of(MAX_DELEGATION_SECS + 1).is_err());
}

/// What a publisher says beside the list.
fn notes() -> Notes {
    let changed = Revision::new(0, 1);
    let deprecation = Some(Deprecation::new("t".repeat(Deprecation::MAX_TEXT_BYTES)));
    let note = ReleaseNote { version: Version::new(0, 0, 0), changed, reason: "leaks".to_owned() };
    let deprecation = Some(DeprecationNote { changed, deprecation });
    Notes { deprecation, releases: vec![note] }
}

#[test]
fn notes_behind_a_delegation_are_read_and_take_nothing_from_it() {
    let signed = |behind: &[u8]| {
        let mut head = live_by(&delegation(3), 7);
        head.ext.extend(behind);
        (forge(&keypair(2), &head), Signed::sign(&keypair(2), head))
    };
    let (_, noted) = signed(&notes().to_ext().unwrap());
    let noted = noted.unwrap();
    assert_eq!(verify(&noted.key(), noted.bytes()), Ok(Record::Head(noted.clone())));
    assert_eq!((noted.notes(), noted.delegation()), (notes(), Some(delegation(3))));
    assert_eq!(head_in(3, 7).notes(), Notes::default());
    // What later versions put there is ignored, and so are notes that cannot be read. A second delegation is refused.
    for behind in [&b"later"[..], &[2], &[2, 9, 9]] {
        let (bytes, head) = signed(behind);
        let head = head.unwrap();
        assert_eq!(verify(&head.key(), &bytes), Ok(Record::Head(head.clone())));
        assert_eq!((head.notes(), head.delegation()), (Notes::default(), Some(delegation(3))));
    }
    let (bytes, head) = signed(&delegation(3).to_ext());
    let rejected = verify_head(&bytes, NOW, ());
    assert!(matches!(rejected, Err(Rejected::Delegation { .. })), "{rejected:?}");
    assert!(head.is_err());
}

/// Or nobody, the owner included, could ever take back what a thief of the publisher's key has said.
#[test]
fn a_publisher_says_nothing_later_than_the_head_that_says_it() {
    let mut notes = notes();
    let last = Revision::new(u32::MAX, u64::MAX);
    notes.releases[0].changed = last;
    notes.deprecation.as_mut().unwrap().changed = last;
    let mut head = live_by(&delegation(3), 7);
    head.ext.extend(notes.to_ext().unwrap());
    let read = Signed::sign(&keypair(2), head).unwrap().notes();
    let changed = Revision::new(3, 7);
    assert_eq!((read.releases[0].changed, read.deprecation.unwrap().changed), (changed, changed));
}

#[test]
fn the_longest_delegation_leaves_the_room_that_notes_may_take() {
    let validity = Validity { issued: u64::MAX - 1, expires: u64::MAX };
    let longest = Delegation::sign(&keypair(1), &main_net(), peer(2), u32::MAX, validity).unwrap();
    assert_eq!(longest.to_ext().len(), Delegation::MAX_EXT_BYTES);
    assert_eq!(longest.to_ext().len() + Notes::MAX_BYTES, MAX_EXT_BYTES);
}

#[test]
fn a_long_list_is_cut_so_that_each_part_carries_the_delegation() {
    let delegation = delegation(4);
    let releases: Vec<ReleaseEntry> = (0..400)
        .map(|n| {
            let version = Version::new(n, 0, 0);
            ReleaseEntry { digest: Digest::of(version.to_string()), version, yanked: false }
        })
        .collect();
    let newest = manifest(Version::new(399, 0, 0));
    let ext = [delegation.to_ext(), notes().to_ext().unwrap()].concat();
    let cut = paginate_delegated(&keypair(2), &delegation, &newest, ext.len(), releases).unwrap();
    let Pagination { inline, older, pages } = cut;
    let revision = Revision::new(4, 1);
    let mut head = Head::live(main_net(), peer(1), revision, day(), newest, inline, older);
    head.ext = ext;
    let head = Signed::sign(&keypair(2), head).unwrap();
    let mut list = ReleaseList::of(&head);
    while let Some(key) = list.awaits() {
        let page = pages.iter().find(|page| page.key() == key).unwrap();
        let Ok(Record::Page(page)) = verify(&key, page.bytes()) else { panic!() };
        assert_eq!(page.delegation().as_ref(), Some(&delegation));
        list.accept(&page).unwrap();
    }
    assert_eq!(list.releases().len(), 400);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_delegation_is_read_as_it_was_written(
        epoch: u32, issued in 0..1_u64 << 50, seconds in 1..=MAX_DELEGATION_SECS, long: bool,
    ) {
        let network: NetworkName = if long { "n".repeat(32).parse().unwrap() } else { main_net() };
        let validity = Validity::starting(issued, seconds);
        let signed = Delegation::sign(&keypair(1), &network, peer(2), epoch, validity).unwrap();
        let read = Delegation::from_bytes(&signed.to_bytes()).unwrap();
        prop_assert_eq!(read.verify(), Ok(()));
        prop_assert_eq!(&read, &signed);
        prop_assert_eq!((read.epoch(), read.validity()), (epoch, validity));
        prop_assert_eq!((read.owner(), read.publisher()), (peer(1), peer(2)));
    }

    #[test]
    fn whatever_reads_as_a_delegation_is_written_as_the_same_bytes(
        tail in proptest::collection::vec(any::<u8>(), 0..24), at in 0..140_usize,
    ) {
        let mut bytes = delegation(300).to_bytes();
        let at = at.min(bytes.len());
        let end = (at + tail.len()).min(bytes.len());
        bytes.splice(at..end, tail);
        if let Ok(read) = Delegation::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
