use super::*;

#[test]
fn topics_of_other_networks_and_endless_ones_are_not_kept() {
    let network = NetworkName::default();
    let mut topics = NetworkTopics { prefix: topic_name(&network, "").hash().into_string() };
    let mut allows = |topic: IdentTopic| topics.can_subscribe(&topic.hash());
    assert!(allows(topic_name(&network, "announcements")));
    assert!(allows(topic_name(&network, &"t".repeat(Message::MAX_TOPIC_BYTES))));
    assert!(!allows(topic_name(&network, &"t".repeat(Message::MAX_TOPIC_BYTES + 1))));
    assert!(!allows(topic_name(&network, "")));
    assert!(!allows(topic_name(&"other".parse().unwrap(), "announcements")));
    assert!(!allows(IdentTopic::new("announcements")));
}

#[test]
fn all_topics_that_a_node_may_have_fit_into_what_a_new_peer_is_told() {
    // As protobuf has it: a tag and two bytes of length around a flag, a tag, two bytes of length and the name.
    const FRAMING: usize = 3 + 2 + 3;
    let network: NetworkName = "n".repeat(32).parse().unwrap();
    let longest = topic_name(&network, &"t".repeat(Message::MAX_TOPIC_BYTES));
    let each = longest.hash().as_str().len() + FRAMING;
    // That of the announcements is one more.
    let topics = crate::config::Limits::MAX_TOPICS + 1;
    assert!(topics * each <= MAX_FRAME_BYTES, "{} bytes", topics * each);
    assert!(topics <= MAX_TOPICS_PER_PEER);
}

/// What gossipsub comes to for a peer with so many invalid messages in one topic that it has been in the mesh of for
/// this long, and that has delivered nothing at all.
fn scored(mesh_time: Duration, invalid: f64, conduct: f64) -> f64 {
    let (all, topic) = (score(), topic_score(1.0, MESH_TIME));
    let in_mesh = mesh_time.as_secs_f64() / topic.time_in_mesh_quantum.as_secs_f64();
    let deficit = topic.mesh_message_deliveries_threshold;
    let of_topic = in_mesh.min(topic.time_in_mesh_cap) * topic.time_in_mesh_weight
        + deficit * deficit * topic.mesh_message_deliveries_weight
        + deficit * deficit * topic.mesh_failure_penalty_weight
        + invalid * invalid * topic.invalid_message_deliveries_weight;
    let of_topics = (of_topic * topic.topic_weight).min(all.topic_score_cap);
    of_topics + application_score(conduct) * all.app_specific_weight
}

#[test]
fn an_honest_peer_on_a_topic_that_is_quiet_for_hours_is_never_below_zero() {
    for minutes in 0..48 * 60 {
        let mesh_time = Duration::from_secs(60 * minutes);
        assert!(scored(mesh_time, 0.0, 0.0) > 0.0, "after {minutes} minutes");
    }
}

#[test]
fn eleven_invalid_messages_are_too_many_for_anybody_and_nine_for_a_stranger() {
    let most = f64::from(GRAYLISTED_AFTER);
    let best = MESH_TIME_CREDIT + application_score(1.0);
    // They fade while they come, within a minute.
    let rounds = 60.0 / DECAY_INTERVAL.as_secs_f64();
    let fading = topic_score(1.0, MESH_TIME).invalid_message_deliveries_decay.powf(rounds);
    assert!(best - (most * fading).powi(2) < GRAYLIST_THRESHOLD);
    assert!(scored(Duration::ZERO, 9.0, 0.0) < GRAYLIST_THRESHOLD);
    assert!(scored(Duration::ZERO, 1.0, 0.0) < 0.0);
}

#[test]
fn conduct_alone_graylists_at_its_worst_and_buys_little_at_its_best() {
    assert!(application_score(-1.0) < GRAYLIST_THRESHOLD - MESH_TIME_CREDIT);
    assert_eq!(application_score(f64::NEG_INFINITY), application_score(-1.0));
    assert_eq!(application_score(f64::INFINITY), application_score(1.0));
    assert_eq!(application_score(f64::NAN), application_score(0.0));
    assert!(application_score(0.0) > 0.0);
    assert!(application_score(0.2) > application_score(0.1));
}

#[test]
fn what_is_more_than_can_be_remembered_is_remembered_once_and_is_nobodys_fault() {
    use gossipsub::DataTransform as _;

    let limits = Limits::new().with_announcement_burst(1).with_announcements_per_second(1);
    let subscriptions = Subscriptions::new(&limits);
    let topic = topic_name(&NetworkName::default(), "announcements").hash();
    subscriptions.0.topics.write().unwrap().insert(topic.clone());
    let messages: HashSet<_> = (0..10_000_u32)
        .map(|number| {
            let data = number.to_be_bytes().to_vec();
            let (source, sequence_number, topic) = (None, None, topic.clone());
            let (signature, key, validated) = (None, None, false);
            let raw =
                RawMessage { source, data, sequence_number, topic, signature, key, validated };
            message_id(&subscriptions.inbound_transform(raw).expect("no fault of its sender"))
        })
        .collect();
    // Some come back while the test runs.
    let most = Budget::REMEMBERED.messages(&limits, 5);
    assert!(messages.len() as u64 <= most, "{} of {most}", messages.len());
    assert!(messages.len() as u64 > Budget::RELAYED.messages(&limits, 0));
}
