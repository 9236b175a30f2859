//! Published records satisfy `docs/*.schema.json`, and the schemas refuse invalid records.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::bridge::{APP, TOKEN};
use crate::mock::Kafka;
use crate::sender::{Sender, signed_query};

const SCHEMA: &str = include_str!("../../docs/recall.schema.json");
const HEADERS: &str = include_str!("../../docs/recall-headers.schema.json");

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn new(text: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource("schema.json", serde_json::from_str(text).unwrap()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    #[track_caller]
    fn assert_valid(&self, value: &Value) {
        if let Err(error) = self.0.validate(value, self.1) {
            panic!("{value}: {error:#}");
        }
    }

    fn is_valid(&self, value: &Value) -> bool {
        self.0.validate(value, self.1).is_ok()
    }
}

#[test]
fn records_of_every_shape_are_valid_under_the_published_schemas() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let query = signed_query(APP, TOKEN);
    let bare = query.split('&').filter(|part| !part.starts_with("ClientIP") && !part.starts_with("OptPlatform"));
    let bare = bare.collect::<Vec<_>>().join("&");
    let body = |number: usize, key: &str, time: &str| {
        format!(
            r#"{{"Official_Account":"@TOA#_\u516c\ud83d\ude00{number}","WithdrawMsgList":[{{"MsgKey":"{key}"}}]{time}}}"#
        )
    };
    // Another account each time: none of them is a repeat.
    let mut sent = 0;
    for query in [&query, &bare] {
        for key in ["71_1_1698741698", "no shape", "1_1_99999999999999", "\\u0000\\\"", "1_1_0"] {
            for time in ["", r#","EventTime":1670574414123"#, r#","EventTime":0"#, r#","EventTime":253402300799999"#] {
                assert!(sender.post(query, body(sent, key, time)).is_ok());
                sent += 1;
            }
        }
    }
    let trace = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    assert!(sender.post_with(&trace, &query, body(sent, "traced", "")).is_ok());

    let (value, headers) = (Schema::new(SCHEMA), Schema::new(HEADERS));
    let records = kafka.topic().read_count(sent + 1);
    for record in &records {
        value.assert_valid(&record.value);
        headers.assert_valid(&json!(record.headers));
    }
    assert_eq!(records.iter().filter(|record| record.headers.contains_key("traceparent")).count(), 1);
}

#[test]
fn a_record_that_lacks_a_field_or_has_another_type_in_it_is_invalid() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let good = &schema["examples"][0];
    let checked = Schema::new(SCHEMA);
    checked.assert_valid(good);
    for field in good.as_object().unwrap().keys() {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(field);
        assert!(!checked.is_valid(&bad), "without {field}");
        bad[field] = json!([1]);
        assert!(!checked.is_valid(&bad), "{field} as an array");
    }
    for (field, wrong) in [("event_id", json!("ca32d5e7-07c8-4653-9baa-ddf3ff26851e")), ("msg_key", json!(""))] {
        let mut bad = good.clone();
        bad[field] = wrong;
        assert!(!checked.is_valid(&bad), "{bad}");
    }
}
