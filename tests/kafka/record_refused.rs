//! A record that Kafka rejects permanently goes to quarantine. The bridge publishes the other records.

use uuid::Uuid;

use crate::audit::audit;
use crate::bridge::{APP, Setup, TOKEN};
use crate::broker::Broker;
use crate::load::Load;
use crate::random::Random;
use crate::scene;
use crate::sender::Sender;
use crate::wait::{count, until_drained};

#[test]
fn a_too_large_record_goes_to_quarantine_and_later_records_are_published() {
    let mut random = Random::new();
    let broker = Broker::shared();
    broker.create_topic("refused", 6, &[("max.message.bytes", "6000")]);
    let setup = scene::quick(Setup::new(&broker.bootstrap())).env("BRIDGE_TOPIC", "refused");
    let mut bridge = setup.start();
    let load = Load::start("refused", 3, bridge.webhook_address(), &mut random);
    load.until_acknowledged(50);
    // Random bytes: compression cannot make the record small enough.
    let noise: Vec<u8> = (0..1000).flat_map(|_| random.next().to_le_bytes()).collect();
    let long = hex::encode(noise);
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_poison", &[&long]);
    load.until_acknowledged(50);
    let ledger = load.stop();
    until_drained(&bridge);
    assert_eq!(count(&bridge, "records_quarantined_total"), 1);
    assert_eq!(count(&bridge, "quarantine_events"), 1);
    assert!(count(&bridge, "kafka_errors_total{kind=\"refused\"}") >= 1);
    assert_eq!(count(&bridge, "spool_identity_renewals_total"), 0);
    scene::stop(&mut bridge);

    let database = crate::spool::open(&setup.spool_dir());
    let (reason, detail, body, spool, seq) = database
        .query_row("SELECT reason, detail, body, spool_uuid, bridge_seq FROM quarantine", [], |row| {
            let reason: String = row.get(0)?;
            let detail: String = row.get(1)?;
            let body: Vec<u8> = row.get(2)?;
            let spool: Uuid = row.get(3)?;
            Ok((reason, detail, body, spool, row.get::<_, u64>(4)?))
        })
        .unwrap();
    assert_eq!(reason, "kafka_too_large");
    assert!(!detail.is_empty());
    let record = recall_bridge::record::Record::decode(&body).unwrap();
    assert_eq!(record.key, b"#TOA#_poison");
    assert!(String::from_utf8_lossy(record.value).contains(&long));

    let mut audit = audit(&ledger, &scene::read(broker, "refused"));
    eprintln!("{audit}");
    assert_eq!(audit.missing, [(spool.to_string(), seq)], "the one number missing is the quarantined one");
    audit.forgive_gaps(1);
    audit.assert_clean();
}
