//! Who gets a place: the limits of the node, of an address and of a user.
//!
//! A place is a [`Permit`]; dropping it gives everything back. All tables are bounded by the number
//! of connections, except for the budgets of users who have just gone: those stay until they are
//! full again, so that reconnecting does not buy a new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlour_hub::session::{Cost, Rates};
use parlour_protocol::{ErrorCode, Refusal, UserId};

use crate::clock::Clock;
use crate::config::{Access, Limits, Network};

mod users;

use users::{User, Users};

/// What a refused client is told to wait before it tries again, in milliseconds.
const RETRY_AFTER_MS: u32 = 5_000;
/// Users remembered without a connection, beyond one per allowed connection.
const SPARE_USERS: usize = 10_000;

/// The limits on connections, and the budgets of users.
#[derive(Debug)]
pub struct Admission {
    clock: Clock,
    most: usize,
    most_per_address: usize,
    most_per_user: usize,
    trusted_proxies: Vec<Network>,
    connections: AtomicUsize,
    addresses: Mutex<HashMap<AddressKey, u32>>,
    users: Mutex<Users>,
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// household or virtual machine gets.
///
/// The bits of the network; IPv4 addresses stand behind a prefix that no network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct AddressKey(u64);

/// Precedes an IPv4 address: 0000::/8 is reserved (RFC 4291, section 2.4), but for `::1`.
const IPV4: u64 = 0xffff << 32;

/// A connection's place within the limits; freed when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    address: Option<AddressKey>,
    user: Option<Arc<User>>,
}

impl Admission {
    /// Builds an admission without connections.
    #[must_use]
    pub fn new(limits: &Limits, access: &Access, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            most_per_user: limits.connections_per_user,
            trusted_proxies: access.trusted_proxies.clone(),
            connections: AtomicUsize::new(0),
            addresses: Mutex::default(),
            users: Mutex::default(),
        })
    }

    /// Gives a place to a connection that was just accepted.
    ///
    /// A trusted proxy has no limit of its own: [`Permit::claim_address`] counts its clients.
    ///
    /// # Errors
    /// `node_full` or `address_limit`, both with the time to wait.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, Refusal> {
        let taken = self.connections.fetch_add(1, Relaxed);
        // From here on the permit's drop gives back what was taken.
        let mut permit = Permit { admission: Arc::clone(self), address: None, user: None };
        if taken >= self.most {
            return Err(Refusal::retry_after(ErrorCode::NodeFull, RETRY_AFTER_MS));
        }
        if !self.is_trusted_proxy(peer) {
            permit.claim_address(peer)?;
        }
        Ok(permit)
    }

    /// Whether what a peer says about its clients' addresses is believed.
    #[must_use]
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<AddressKey, u32>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Returns the user that the connection is counted for.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref().map(|user| &user.id)
    }

    /// Counts the connection for an address, instead of the one it was counted for before.
    ///
    /// # Errors
    /// `address_limit` with the time to wait.
    pub fn claim_address(&mut self, address: IpAddr) -> Result<(), Refusal> {
        self.release_address();
        let key = AddressKey::new(address);
        let mut addresses = self.admission.addresses();
        let count = addresses.entry(key).or_insert(0);
        if *count as usize >= self.admission.most_per_address {
            return Err(Refusal::retry_after(ErrorCode::AddressLimit, RETRY_AFTER_MS));
        }
        *count += 1;
        drop(addresses);
        self.address = Some(key);
        Ok(())
    }

    /// Counts the connection for a user, once; a second call for the same user does nothing.
    ///
    /// # Errors
    /// `user_limit`, or `node_full` when too many users are remembered.
    pub fn claim_user(&mut self, user: &UserId) -> Result<(), Refusal> {
        if self.user() == Some(user) {
            return Ok(());
        }
        self.release_user();
        let most = self.admission.most.saturating_add(SPARE_USERS);
        let mut users = self.admission.users();
        let entry = users.entry(user, self.admission.clock.mono_ns(), most);
        let entry = entry.ok_or_else(|| Refusal::retry_after(ErrorCode::NodeFull, RETRY_AFTER_MS))?;
        if !entry.count(self.admission.most_per_user) {
            return Err(Refusal::retry_after(ErrorCode::UserLimit, RETRY_AFTER_MS));
        }
        drop(users);
        self.user = Some(entry);
        Ok(())
    }

    /// Takes what a command costs out of the budget that all connections of the user share.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait.
    pub fn spend(&self, rates: &Rates, cost: &Cost, now_ns: u64) -> Result<(), Refusal> {
        self.user.as_ref().map_or(Ok(()), |user| user.spend(rates, cost, now_ns))
    }

    fn release_address(&mut self) {
        if let Some(key) = self.address.take() {
            let mut addresses = self.admission.addresses();
            release(&mut addresses, key);
        }
    }

    fn release_user(&mut self) {
        if let Some(user) = self.user.take() {
            let now_ns = self.admission.clock.mono_ns();
            self.admission.users().release(&user, now_ns);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.release_address();
        self.release_user();
        self.admission.connections.fetch_sub(1, Relaxed);
    }
}

impl AddressKey {
    fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
            IpAddr::V4(v4) => IPV4 | u64::from(v4.to_bits()),
        })
    }
}

fn release(counts: &mut HashMap<AddressKey, u32>, key: AddressKey) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
    if counts.len() < counts.capacity() / 8 {
        counts.shrink_to(2 * counts.len());
    }
}

#[cfg(test)]
mod tests {
    use parlour_hub::limits::Gcra;

    use super::*;

    const HOME: &str = "192.0.2.1";

    fn admission(change: impl FnOnce(&mut Limits)) -> Arc<Admission> {
        let mut config = crate::config::Config::dev();
        config.limits.connections = 1_000;
        change(&mut config.limits);
        config.access.trusted_proxies = vec!["10.0.0.0/8".parse().expect("valid")];
        Admission::new(&config.limits, &config.access, Clock::start())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("valid")
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> ErrorCode {
        let refusal = outcome.expect_err("beyond the limit");
        assert!(refusal.retry_after_ms.is_some());
        refusal.code
    }

    #[test]
    fn the_node_is_full_until_a_permit_is_dropped() {
        let admission = admission(|limits| limits.connections = 2);
        let first = admission.admit(address(HOME)).expect("free");
        let _second = admission.admit(address(HOME)).expect("free");
        assert_eq!(refused(admission.admit(address(HOME))), ErrorCode::NodeFull);
        assert_eq!(admission.connections(), 2, "a refusal takes no place");
        drop(first);
        assert!(admission.admit(address(HOME)).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = admission(|limits| limits.connections_per_address = 1);
        let _one = admission.admit(address("2001:db8:1:2::1")).expect("free");
        assert_eq!(refused(admission.admit(address("2001:db8:1:2:ffff::9"))), ErrorCode::AddressLimit);
        assert!(admission.admit(address("2001:db8:1:3::1")).is_ok());
        let _four = admission.admit(address(HOME)).expect("free");
        assert_eq!(refused(admission.admit(address("::ffff:192.0.2.1"))), ErrorCode::AddressLimit);
    }

    #[test]
    fn a_trusted_proxy_is_counted_by_its_clients() {
        let admission = admission(|limits| limits.connections_per_address = 1);
        let mut one = admission.admit(address("10.1.1.1")).expect("a proxy has no limit");
        let mut two = admission.admit(address("10.1.1.1")).expect("a proxy has no limit");
        assert!(one.claim_address(address(HOME)).is_ok());
        assert_eq!(refused(two.claim_address(address(HOME))), ErrorCode::AddressLimit);
        drop((one, two));
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn a_user_has_a_number_of_connections() {
        let admission = admission(|limits| limits.connections_per_user = 2);
        let mut permits: Vec<_> = (0..3).map(|_| admission.admit(address(HOME)).expect("free")).collect();
        assert!(permits[0].claim_user(&user("Alice")).is_ok());
        assert!(permits[0].claim_user(&user("Alice")).is_ok(), "claimed once");
        assert!(permits[1].claim_user(&user("Alice")).is_ok());
        assert_eq!(refused(permits[2].claim_user(&user("Alice"))), ErrorCode::UserLimit);
        permits.remove(0);
        assert!(permits[1].claim_user(&user("Alice")).is_ok());
        drop(permits);
        assert!(admission.users().is_empty(), "nothing is remembered of an idle user");
    }

    #[test]
    fn a_budget_is_shared_and_survives_reconnecting() {
        let slow = Gcra::new(1, 2);
        let rates = Rates { messages: slow, bytes: slow, reads: slow, joins: slow, commands: slow };
        let (admission, message) = (admission(|_| {}), Cost { messages: 1, ..Cost::default() });
        let connect = || {
            let mut permit = admission.admit(address(HOME)).expect("free");
            permit.claim_user(&user("Alice")).expect("free");
            permit
        };
        let now_ns = admission.clock.mono_ns() + 1_000_000_000;
        let (one, two) = (connect(), connect());
        assert!(one.spend(&rates, &message, now_ns).is_ok() && two.spend(&rates, &message, now_ns).is_ok());
        drop((one, two));
        let again = connect();
        let refusal = again.spend(&rates, &message, now_ns).expect_err("the budget is spent");
        assert_eq!(refusal.retry_after_ms, Some(1_000));
        assert!(again.spend(&rates, &message, now_ns + 1_000_000_000).is_ok());
    }
}
