//! The real source: the journal's own files, read up to what is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{GrantSource, SourceError};
use crate::core::Event;
use crate::ids::Lsn;
use crate::journal::{Disk, Reader};

/// The events of a journal that this process is writing.
pub struct JournalSource {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    reader: Option<Reader>,
}

impl JournalSource {
    /// The journal in the data directory `data`.
    pub fn new(disk: Arc<dyn Disk>, data: &Path) -> JournalSource {
        JournalSource { disk, data: data.to_owned(), reader: None }
    }
}

impl GrantSource for JournalSource {
    fn seek(&mut self, from: Lsn) -> Result<(), SourceError> {
        let reader = Reader::open(Arc::clone(&self.disk), &self.data, from);
        self.reader = Some(reader.map_err(|error| SourceError(error.to_string()))?);
        Ok(())
    }

    fn read(&mut self, upto: Lsn, take: &mut dyn FnMut(Lsn, &Event<'_>)) -> Result<Option<Lsn>, SourceError> {
        let reader = self.reader.as_mut().expect("a source is read after a seek");
        let Some(batch) = reader.next(upto).map_err(|error| SourceError(error.to_string()))? else { return Ok(None) };
        for event in batch.events() {
            let (lsn, event) = event.map_err(|error| SourceError(error.to_string()))?;
            take(lsn, &event);
        }
        Ok(Some(batch.last))
    }
}
