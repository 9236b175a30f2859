//! The files that remain of a run that found an error.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use rdkafka::ClientConfig;

use crate::cluster::{PARTITIONS, TOPIC};
use crate::history::{History, ResponseKind};
use crate::reader::dump;

/// Writes the records of the topic and the responses of the senders beside the logs.
pub(crate) fn keep(home: &Path, client: &ClientConfig, history: &History) -> Result<(), String> {
    let create = |name: &str| File::create(home.join(name)).map(BufWriter::new).map_err(|error| error.to_string());
    let mut topic = create("topic.txt")?;
    dump(client, TOPIC, PARTITIONS, &mut topic)?;
    topic.flush().map_err(|error| error.to_string())?;
    let mut response = create("responses.txt")?;
    let write = |response: &mut BufWriter<File>| {
        writeln!(response, "one letter a webhook of {} recalls: acknowledged, refused, unanswered", history.keys)?;
        for (account, webhooks) in history.response.iter().enumerate() {
            let letters: String = webhooks.iter().map(|response| letter(*response)).collect();
            writeln!(response, "{account} {letters}")?;
        }
        response.flush()
    };
    write(&mut response).map_err(|error| error.to_string())
}

fn letter(response: ResponseKind) -> char {
    match response {
        ResponseKind::Acknowledged => 'a',
        ResponseKind::Refused => 'r',
        ResponseKind::Missing => 'u',
    }
}
