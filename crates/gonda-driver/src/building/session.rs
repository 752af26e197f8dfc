//! What the jobs of one gonda process share: channels that were opened, and what the machine gives for isolation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Budget;
use crate::cache::{self, InUse};
use crate::channels::Channels;
use crate::files::blocking;
use crate::go_cache::SharedGoCache;
use crate::isolation::Mode;
use crate::modules::{ModuleStore, ProxySettings};
use crate::settings::{GoCacheMode, Settings};
use crate::{Events, Result};

/// What stores differ in: upstream, whether it is asked, and answers that are given in its place.
type StoreKey = (String, bool, Option<BTreeMap<String, String>>);

/// Shared by all jobs of a process; cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    mode: Mode,
    budget: Budget,
    channels: Mutex<HashMap<Vec<String>, Arc<Channels>>>,
    /// What several jobs ask for at once is fetched once.
    stores: Mutex<HashMap<StoreKey, ModuleStore>>,
    go_cache: Mutex<Option<Arc<SharedGoCache>>>,
    /// Nothing is removed from the caches while it is held.
    _in_use: InUse,
}

impl Session {
    /// Finds out what the machine gives.
    ///
    /// # Errors
    /// `Kind::Machine` where isolation is asked for and can't be had, or the cache can't be written.
    pub async fn open(settings: &Settings, events: &Events) -> Result<Self> {
        let in_use = {
            let root = settings.cache_root.clone();
            blocking(move || cache::in_use(&root)).await?
        };
        let mode = settings.isolation.resolve(&settings.cache_root.join("work"), events).await?;
        let budget = Budget::new(settings.jobs);
        Ok(Self(Arc::new(Inner {
            mode,
            budget,
            channels: Mutex::default(),
            stores: Mutex::default(),
            go_cache: Mutex::default(),
            _in_use: in_use,
        })))
    }

    /// How jobs are kept apart.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// The processors that jobs share.
    pub(super) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// The channels for a recipe, opened once for each list.
    ///
    /// # Errors
    /// A name that is no channel.
    pub fn channels(
        &self,
        settings: &Settings,
        channel_sources: Option<&[String]>,
        events: &Events,
    ) -> Result<Arc<Channels>> {
        let names = settings.channels.resolve(channel_sources);
        let mut known = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channels) = known.get(&names) {
            return Ok(Arc::clone(channels));
        }
        let channels = Arc::new(Channels::open(settings.channel_settings(names.clone()), events.clone())?);
        known.insert(names, Arc::clone(&channels));
        Ok(channels)
    }

    /// The module store, opened once for each upstream, with it and without.
    ///
    /// # Errors
    /// A malformed list of proxies; a cache that can't be written.
    pub fn module_store(&self, settings: ProxySettings) -> Result<ModuleStore> {
        let mut known = self.0.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (settings.upstream.clone(), settings.offline, settings.answers.clone());
        if let Some(store) = known.get(&key) {
            return Ok(store.clone());
        }
        let store = ModuleStore::open(settings)?;
        known.insert(key, store.clone());
        Ok(store)
    }

    /// The Go build cache that machines share, opened once; `None` where the user chose another mode.
    ///
    /// # Errors
    /// A url that can't be used.
    pub(super) fn go_cache(&self, settings: &Settings, events: &Events) -> Result<Option<Arc<SharedGoCache>>> {
        let GoCacheMode::Store(url) = &settings.go_cache else { return Ok(None) };
        let mut known = self.0.go_cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = &*known {
            return Ok(Some(Arc::clone(cache)));
        }
        let environment = (!settings.offline).then_some(&settings.caller_environment);
        let cache = Arc::new(SharedGoCache::open(url, &settings.cache_root, environment, events.clone())?);
        *known = Some(Arc::clone(&cache));
        Ok(Some(cache))
    }
}
