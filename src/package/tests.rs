//! What can be published and asked for, and what cannot.

use libp2p::{PeerId, identity::Keypair};
use proptest::prelude::*;
use semver::{Version, VersionReq};

use super::*;
use crate::error::Error;

fn owner() -> PeerId {
    Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id()
}

fn manifest() -> Manifest {
    Manifest::new("tiny-http".parse().unwrap(), Version::new(1, 2, 0))
}

/// The field at fault and why.
fn fault(result: Result<(), Error>) -> (String, String) {
    match result {
        Err(Error::Invalid { field, reason }) => (field.into_owned(), reason),
        other => panic!("should be invalid, but is {other:?}"),
    }
}

#[test]
fn a_name_is_short_lower_case_ascii() {
    for good in ["a", "0", "tiny-http", "a.b_c-d", &"x".repeat(64)] {
        assert_eq!(good.parse::<PackageName>().unwrap().as_str(), good);
    }
    for (bad, why) in [
        ("", "is empty"),
        ("-a", "starts with '-'"),
        (".a", "starts with '.'"),
        ("Tiny", "has 'T'"),
        ("a/b", "has '/'"),
        ("a@1", "has '@'"),
        ("аpple", "has 'а'"), // a Cyrillic letter
        (&"x".repeat(65), "is 65 of at most 64 bytes"),
    ] {
        let (field, reason) = fault(bad.parse::<PackageName>().map(drop));
        assert_eq!(field, "name");
        assert!(reason.contains(why), "{bad}: {reason}");
        assert_eq!(
            PackageName::try_from(bad.to_owned()).is_err(),
            bad.parse::<PackageName>().is_err()
        );
    }
}

#[test]
fn a_name_is_checked_when_it_is_deserialised() {
    assert_eq!(serde_json::from_str::<PackageName>(r#""a\u002eb""#).unwrap().as_str(), "a.b");
    let error = serde_json::from_str::<PackageName>(r#""A""#).unwrap_err().to_string();
    assert!(error.contains("has 'A'"), "{error}");
}

#[test]
fn an_id_says_what_is_wrong_with_it() {
    let sha256_peer = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    for (bad, field) in [
        ("nobody/name", "owner"),
        (&*format!("{sha256_peer}/name"), "owner"),
        ("name@1", "version"),
        ("name@", "version"),
        ("/name", "owner"),
        ("", "name"),
        ("a/b/c", "owner"),
        ("name@1.0.0@2.0.0", "version"),
    ] {
        assert_eq!(fault(bad.parse::<PackageId>().map(drop)).0, field, "{bad}");
    }
}

#[test]
fn an_id_can_be_narrowed_and_widened() {
    let id = PackageId::from(PackageName::try_from("a").unwrap());
    let narrow = id.clone().with_owner(owner()).with_version(Version::new(1, 0, 0));
    assert_eq!(narrow.to_string(), format!("{}/a@1.0.0", owner()));
    let owned = PackageId::owned(owner(), "a".parse().unwrap());
    assert_eq!(narrow.without_version(), owned);
    assert_eq!(id.to_string(), "a");
}

#[test]
fn an_error_stays_small_to_return() {
    assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
}

#[test]
fn an_owner_is_its_key() {
    let keypair = Keypair::generate_ed25519();
    let key = keypair.public().try_into_ed25519().unwrap().to_bytes();
    assert_eq!(owner_key(&keypair.public().to_peer_id()), Some(key));
    assert_eq!(owner_from_key(&key), Some(keypair.public().to_peer_id()));
    let other: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
    assert_eq!(owner_key(&other), None);
    assert_eq!(owner_key(&PeerId::random()), None, "an identity multihash of something else");
}

#[test]
fn a_digest_reads_with_and_without_its_prefix() {
    let digest = Digest::of("abc");
    // FIPS 180-4, example "abc".
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest.to_string(), format!("sha256:{hex}"));
    for text in [hex, &hex.to_uppercase(), &digest.to_string()] {
        assert_eq!(text.parse(), Ok(digest));
    }
    for bad in ["", "sha256:", "sha512:00", &hex[1..], &format!("{hex}00"), "sha256:sha256:"] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"sha256:{hex}\""));
}

#[test]
fn a_manifest_reads_as_a_publisher_writes_it() {
    let read: Manifest = serde_json::from_str(
        r#"{
            "name": "tiny-http", "version": "1.2.0", "license": "MIT",
            "dependencies": [{ "name": "log", "requirement": "^0.4" }]
        }"#,
    )
    .unwrap();
    let log = Dependency::new("log".parse().unwrap(), "^0.4".parse().unwrap());
    assert_eq!(read, manifest().with_license("MIT").with_dependency(log));
    read.validate().unwrap();
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&written).unwrap(), read);
    assert!(!written.contains("artifacts"), "what is empty is left out: {written}");
}

#[test]
fn a_misspelt_field_is_told() {
    for json in [
        r#"{ "name": "a", "version": "1.0.0", "licence": "MIT" }"#,
        r#"{ "name": "a", "version": "1.0.0", "artifacts": [{ "name": "a", "digest": "", "size": 1,
             "media-type": "a/b" }] }"#,
    ] {
        let error = serde_json::from_str::<Manifest>(json).unwrap_err().to_string();
        assert!(error.contains("unknown field") || error.contains("digest"), "{error}");
    }
    let error = serde_json::from_str::<Query>(r#"{ "txt": "a" }"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `txt`"), "{error}");
}

#[test]
fn a_manifest_at_its_bounds_is_valid() {
    let full = manifest()
        .with_description("d".repeat(1024))
        .with_license(format!("LicenseRef-{}", "l".repeat(117)))
        .with_authors((0..16).map(|n| format!("{n:0>128}")))
        .with_keywords((0..16).map(|n| format!("{n:0>32}")))
        .with_homepage(format!("https://{}", "h".repeat(248)))
        .with_repository(format!("git+ssh://{}", "h".repeat(246)));
    let full = (0..64).fold(full, |full, n| {
        let name = format!("dependency-{n}").parse().unwrap();
        full.with_dependency(Dependency::new(name, VersionReq::STAR))
    });
    let media_type = format!("a/{}", "b".repeat(125));
    let full = (0..32).fold(full, |full, n| {
        full.with_artifact(Artifact::of(format!("{n:0>128}"), b"", media_type.clone()))
    });
    full.validate().unwrap();
}

#[test]
fn every_bound_names_the_field_at_fault() {
    let artifact = |name: &str, media: &str| Artifact::of(name, b"", media);
    let dependency = |name: &str| Dependency::new(name.parse().unwrap(), VersionReq::STAR);
    let long = Version::parse(&format!("1.0.0-{}", "a".repeat(123))).unwrap();
    let many: VersionReq =
        VersionReq { comparators: vec![semver::Comparator::parse("1").unwrap(); 33] };
    let cases = [
        (Manifest::new("a".parse().unwrap(), long), "version", "129 of at most 128"),
        (manifest().with_description("d".repeat(1025)), "description", "1025 of at most 1024"),
        (manifest().with_description("\u{7}"), "description", "U+0007"),
        (manifest().with_description("\u{202E}"), "description", "U+202E"),
        (manifest().with_license(""), "license", "is empty"),
        (manifest().with_license("a\nb"), "license", "U+000A"),
        (manifest().with_license("MIT OR ((((("), "license", "not an SPDX expression"),
        (manifest().with_license("MIT/Apache-2.0"), "license", "write `MIT OR Apache-2.0`"),
        (manifest().with_authors(vec!["a"; 17]), "authors", "17 of at most 16"),
        (manifest().with_authors(["a", "a"]), "authors[1]", "repeats `a`"),
        (manifest().with_authors(["a", ""]), "authors[1]", "is empty"),
        (manifest().with_keywords(["a", "Web"]), "keywords[1]", "has 'W'"),
        (manifest().with_keywords(["a", "a"]), "keywords[1]", "repeats `a`"),
        (manifest().with_keywords(["k".repeat(33)]), "keywords[0]", "33 of at most 32"),
        (manifest().with_homepage("javascript:alert(1)"), "homepage", "https, http"),
        (manifest().with_homepage("git://host"), "homepage", "https, http"),
        (manifest().with_homepage("https:///path"), "homepage", "scheme://host"),
        (manifest().with_repository("https://a b"), "repository", "scheme://host"),
        (manifest().with_repository("file:///etc"), "repository", "git+ssh"),
        (manifest().with_dependency(dependency("tiny-http")), "dependencies[0].name", "itself"),
        (
            manifest().with_dependency(dependency("a")).with_dependency(dependency("a")),
            "dependencies[1].name",
            "repeats `a`",
        ),
        (
            manifest().with_dependency(Dependency::new("a".parse().unwrap(), many)),
            "dependencies[0].requirement",
            "",
        ),
        (
            manifest().with_dependency(dependency("a").with_owner(PeerId::random())),
            "dependencies[0].owner",
            "Ed25519",
        ),
        (manifest().with_artifact(artifact("a/b", "a/b")), "artifacts[0].name", "is a path"),
        (manifest().with_artifact(artifact("..", "a/b")), "artifacts[0].name", "is a path"),
        (manifest().with_artifact(artifact("", "a/b")), "artifacts[0].name", "is empty"),
        (
            manifest().with_artifact(artifact("a", "a/b")).with_artifact(artifact("a", "a/b")),
            "artifacts[1].name",
            "repeats `a`",
        ),
    ];
    for (manifest, path, why) in cases {
        let (field, reason) = fault(manifest.validate());
        assert_eq!(field, path);
        assert!(reason.contains(why), "{path}: {reason}");
    }
    for media in ["", "gzip", "a/", "/b", "a/b/c", "a/b; charset=utf-8", ".a/b", "a/ b"] {
        let (field, reason) = fault(manifest().with_artifact(artifact("a", media)).validate());
        assert_eq!((&*field, reason.contains("type/subtype")), ("artifacts[0].media_type", true));
    }
}

#[test]
fn a_query_wants_more_than_words() {
    let manifest = manifest()
        .with_keywords(["http", "web-server"])
        .with_license("(MIT OR  Apache-2.0) AND Unicode-3.0");
    let releases = [Version::new(1, 2, 0), "2.0.0-rc.1".parse().unwrap()];
    let accepts = |query: Query| query.accepts(&manifest, &owner(), &releases);
    assert!(accepts(Query::new()));
    assert!(accepts(Query::new().with_keyword("http").with_keyword("web-server")));
    assert!(!accepts(Query::new().with_keyword("web")), "a keyword is wanted whole");
    assert!(accepts(Query::new().with_owner(owner())));
    assert!(!accepts(Query::new().with_owner(PeerId::random())));
    for good in [
        "mit",
        "Apache-2.0",
        "unicode-3.0",
        "Apache-2.0 OR MIT",
        "(mit or apache-2.0) and unicode-3.0",
    ] {
        assert!(accepts(Query::new().with_license(good)), "{good}");
    }
    for bad in ["MI", "Apache", "or", "MIT OR Unicode-3.0", "GPL-3.0"] {
        assert!(!accepts(Query::new().with_license(bad)), "{bad}");
    }
    for (requirement, is_there) in
        [("^1", true), (">=1.3", false), ("=2.0.0-rc.1", true), ("2", false)]
    {
        let query = Query::new().with_version(requirement.parse().unwrap());
        assert_eq!(accepts(query), is_there, "{requirement}");
    }
}

#[test]
fn a_query_is_bounded() {
    Query::new().with_limit(100).with_text("t".repeat(256)).validate().unwrap();
    for (query, at) in [
        (Query::new().with_limit(0), "limit"),
        (Query::new().with_limit(101), "limit"),
        (Query::new().with_text("t".repeat(257)), "text"),
        (Query::new().with_text("a\0"), "text"),
        (Query::new().with_keyword("A"), "keywords[0]"),
    ] {
        assert_eq!(fault(query.validate()).0, at);
    }
    let one = "1".parse::<VersionReq>().unwrap().comparators[0].clone();
    let by_hand = VersionReq { comparators: vec![one; 99] };
    for (query, at) in [
        (Query::new().with_license(""), "license"),
        (Query::new().with_license("M".repeat(129)), "license"),
        (Query::new().with_version(by_hand), "version"),
        (Query::new().with_offset(10_001), "offset"),
    ] {
        assert_eq!(fault(query.validate()).0, at);
    }
    Query::new().with_offset(10_000).validate().unwrap();
}

#[test]
fn a_query_says_only_what_it_wants() {
    assert_eq!(serde_json::from_str::<Query>("{}").unwrap(), Query::new());
    assert_eq!(serde_json::to_string(&Query::new()).unwrap(), r#"{"limit":20}"#);
    let query = Query::new()
        .with_text("toml yaml")
        .with_matching(Match::Any)
        .with_license("MIT")
        .with_version("^1".parse().unwrap())
        .with_sort(Sort::Updated)
        .with_offset(20);
    let json = serde_json::to_string(&query).unwrap();
    let expected = r#"{"text":"toml yaml","matching":"any","license":"MIT","version":"^1","#;
    assert_eq!(json, format!(r#"{expected}"sort":"updated","offset":20,"limit":20}}"#));
    assert_eq!(serde_json::from_str::<Query>(&json).unwrap(), query);
    for wrong in [r#"{"matching":"none"}"#, r#"{"version":"one"}"#, r#"{"sort":"size"}"#] {
        assert!(serde_json::from_str::<Query>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_place_is_on_earth() {
    for (latitude, longitude, at) in [
        (90.1, 0.0, "latitude"),
        (f64::NAN, 0.0, "latitude"),
        (0.0, -180.1, "longitude"),
        (0.0, f64::INFINITY, "longitude"),
    ] {
        assert_eq!(fault(GeoLocation::new(latitude, longitude).map(drop)).0, at);
    }
    let text = r#"{"latitude":-90.0,"longitude":180.0}"#;
    let place: GeoLocation = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&place).unwrap(), text);
    assert!(serde_json::from_str::<GeoLocation>(r#"{"latitude":91,"longitude":0}"#).is_err());
    assert!(serde_json::from_str::<GeoLocation>(r#"{"latitude":1,"longitude":0,"x":0}"#).is_err());
}

#[test]
fn distances_are_those_of_a_globe() {
    let half_way_round = std::f64::consts::PI * 6371.0088;
    let at = |latitude, longitude| GeoLocation::new(latitude, longitude).unwrap();
    for (a, b, expected) in [
        (at(0.0, 0.0), at(0.0, 180.0), half_way_round),
        (at(90.0, 0.0), at(-90.0, 77.0), half_way_round),
        (at(90.0, 0.0), at(90.0, 123.0), 0.0),
        (at(0.0, 179.5), at(0.0, -179.5), half_way_round / 180.0),
        (at(0.0, -180.0), at(0.0, 180.0), 0.0),
    ] {
        assert!((a.distance_km(&b) - expected).abs() < 1e-6, "{a:?} {b:?}");
    }
}

proptest! {
    #[test]
    fn an_antipode_is_half_way_round(latitude in -90.0..=90.0, longitude in -180.0..=0.0) {
        let here = GeoLocation::new(latitude, longitude).unwrap();
        let there = GeoLocation::new(-latitude, longitude + 180.0).unwrap();
        let half_way_round = std::f64::consts::PI * 6371.0088;
        prop_assert!((here.distance_km(&there) - half_way_round).abs() < 0.001);
        prop_assert_eq!(here.distance_km(&here), 0.0);
    }

    #[test]
    fn an_id_reads_as_it_prints(
        name in "[a-z0-9][a-z0-9._-]{0,63}",
        owned: bool,
        version in proptest::option::of("(0|[1-9][0-9]{0,4})\\.[0-9]\\.[0-9](-[a-z]{1,4})?(\\+[0-9a-z]{1,9})?"),
    ) {
        let mut id = PackageId::named(name.parse().unwrap());
        if owned {
            id = id.with_owner(owner());
        }
        if let Some(version) = version {
            id = id.with_version(version.parse().unwrap());
        }
        prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<PackageId>(&json).unwrap(), id);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,80}") {
        let _ = text.parse::<PackageId>();
        let _ = text.parse::<PackageName>();
        let _ = text.parse::<Digest>();
        let manifest = manifest()
            .with_description(text.clone())
            .with_homepage(text.clone())
            .with_artifact(Artifact::of(text.clone(), b"", text.clone()));
        let _ = manifest.validate();
        let query = Query::new().with_text(text.clone()).with_license(text);
        let _ = (query.validate(), query.accepts(&manifest, &owner(), []));
    }
}
