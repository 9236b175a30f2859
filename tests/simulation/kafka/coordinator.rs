//! The transaction of one `transactional.id`, as its coordinator sees it (transactions V1, KIP-98).

use super::{Epoch, ProducerId, Refused};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Empty,
    Ongoing(Vec<usize>),
    /// The end is decided and written. The partitions in `left` have no marker yet.
    Ending {
        commit: bool,
        left: Vec<usize>,
    },
    Ended {
        commit: bool,
    },
}

#[derive(Debug, Clone)]
pub struct Transaction {
    pub producer: ProducerId,
    pub epoch: Epoch,
    pub state: State,
}

impl Transaction {
    pub fn new(producer: ProducerId) -> Self {
        Self { producer, epoch: 0, state: State::Empty }
    }

    fn check(&self, producer: ProducerId, epoch: Epoch) -> Result<(), Refused> {
        if (producer, epoch) != (self.producer, self.epoch) {
            return Err(Refused::Fenced);
        }
        if matches!(self.state, State::Ending { .. }) { Err(Refused::Concurrent) } else { Ok(()) }
    }

    /// `InitProducerId`: aborts an open transaction and fences its epoch. The response comes after that, with a new
    /// epoch.
    pub fn init(&mut self) -> Result<(ProducerId, Epoch), Refused> {
        match &self.state {
            State::Ongoing(_) => {
                self.abort();
                Err(Refused::Concurrent)
            }
            State::Ending { .. } => Err(Refused::Concurrent),
            State::Empty | State::Ended { .. } => {
                self.epoch += 1;
                self.state = State::Empty;
                Ok((self.producer, self.epoch))
            }
        }
    }

    /// Aborts the transaction after its timeout, or for a new producer.
    pub fn abort(&mut self) {
        if let State::Ongoing(partitions) = &mut self.state {
            self.epoch += 1;
            self.state = State::Ending { commit: false, left: std::mem::take(partitions) };
        }
    }

    /// `AddPartitionsToTxn`: opens a transaction if no transaction is open.
    pub fn add(&mut self, producer: ProducerId, epoch: Epoch, partition: usize) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        match &mut self.state {
            State::Ongoing(partitions) => {
                if !partitions.contains(&partition) {
                    partitions.push(partition);
                }
            }
            state => *state = State::Ongoing(vec![partition]),
        }
        Ok(())
    }

    /// Answers a broker that received the first record of a transaction and asks whether the transaction is open.
    pub fn verify(&self, producer: ProducerId, epoch: Epoch, partition: usize) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        match &self.state {
            State::Ongoing(partitions) if partitions.contains(&partition) => Ok(()),
            _ => Err(Refused::NotInTransaction),
        }
    }

    /// `EndTxn`: the request names no transaction, so it ends the open one. A repeated request gets the same response.
    pub fn end(&mut self, producer: ProducerId, epoch: Epoch, commit: bool) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        match &mut self.state {
            State::Ongoing(partitions) => {
                self.state = State::Ending { commit, left: std::mem::take(partitions) };
                Err(Refused::Concurrent)
            }
            State::Ended { commit: before } if *before == commit => Ok(()),
            _ => Err(Refused::NotInTransaction),
        }
    }
}
