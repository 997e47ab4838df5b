//! The lineage of rooms that have no log yet.
//!
//! A client may enter an empty room, lose its connection and come back after the first messages. It
//! gets them only if the room's epoch is the same in between, across restarts too. So the epoch of a
//! durable room follows from its name and from a number that the store keeps; a store that is made
//! anew has another number, and so other epochs (P10, P24).

use parlour_protocol::{Epoch, RoomName};
use sha2::{Digest as _, Sha256};

use crate::store::{Document, Store, StoreError};

/// The key of the store's number.
pub(crate) const KEY: &str = "lineage";

/// The number of a store: 16 random bytes from its first use on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage(Vec<u8>);

impl Lineage {
    /// Draws a new number.
    #[must_use]
    pub fn draw() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes().into())
    }

    /// Reads the number of a store, or gives it one.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        if let Some(known) = Self::read(store).await? {
            return Ok(known);
        }
        let new = Self::draw();
        store.put(vec![Document { key: KEY.into(), value: new.0.clone() }]).await?;
        // Another node may have done the same.
        Ok(Self::read(store).await?.unwrap_or(new))
    }

    async fn read(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let known = store.documents(KEY.into(), 1).await?;
        let number = known.into_iter().find(|document| document.key == KEY);
        Ok(number.map(|Document { value, .. }| Self(value)))
    }

    /// Returns the epoch that a room's log begins with.
    #[must_use]
    pub fn epoch(&self, room: &RoomName) -> Epoch {
        let digest = Sha256::new().chain_update(&self.0).chain_update(room.as_str()).finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Epoch(u128::from_be_bytes(first))
    }
}
