//! What an output's scripts reach: the user's choice, the recipe's wish, and gonda's module proxy in its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Job;
use super::modules::has_go;
use crate::Result;
use crate::go_cache;
use crate::isolation::{Reach, SERVICE, SeenPaths, paths};
use crate::modules::{Asked, Beside, Proxy, ProxyRecord};
use crate::script::Attempts;
use crate::settings::Network;
use crate::solving::Solved;

/// The network of an output's scripts, held while they run.
pub(super) struct ScriptNetwork {
    mode: Network,
    proxy: Option<Arc<Proxy>>,
    /// Whether `mode` is more than the environment's word.
    closed: bool,
    /// For the room.
    pub(super) reach: Reach,
    /// What a script's `go` asks gonda itself.
    pub(super) asked: mpsc::Receiver<Asked>,
    /// For the log: why the mode is not what the user chose, or the recipe.
    pub(super) note: Option<String>,
}

impl ScriptNetwork {
    /// GOPROXY.
    pub(super) fn go_proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(|proxy| proxy.goproxy(self.mode == Network::On))
    }

    /// Where a script's `go` finds gonda.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(|proxy| proxy.address())
    }

    /// GOCACHEPROG: gonda itself, as the script sees it, which asks the proxy for the Go build cache that machines share.
    pub(super) fn go_cache_program(&self, seen: &SeenPaths) -> Option<String> {
        let url = self.proxy.as_ref()?.go_cache_url()?;
        go_cache::command(&seen.own.as_ref()?.join(paths::PROGRAM), &url)
    }

    /// What gonda's proxy has served so far.
    pub(super) fn served(&self) -> Option<ProxyRecord> {
        self.proxy.as_ref().map(|proxy| proxy.record())
    }

    /// Answers of the module proxy that change with time.
    pub(super) fn answers(&self) -> BTreeMap<String, String> {
        self.proxy.as_ref().map(|proxy| proxy.record().answers).unwrap_or_default()
    }

    /// What to do where a script seems to have failed for want of a network.
    pub(super) fn help(&self, attempts: &Attempts) -> Option<String> {
        let attempt = attempts.last().filter(|_| self.closed)?;
        let mode = self.mode.word();
        Some(format!(
            "{attempt}, but with `--network={mode}` scripts reach Go's modules only: add what it needs to the recipe's \
             sources, build with `--network=on`, or let the recipe say `extra: gonda: network: true`"
        ))
    }
}

impl Job {
    /// What the output's scripts may reach, and for the log, where that isn't what was asked for.
    pub(super) fn network(&self) -> (Network, Option<&'static str>) {
        let chosen = self.common.request.settings.network;
        let extra = &self.output.sections.extra;
        let wished = extra.pointer("/gonda/network").is_some_and(|wish| *wish == serde_json::Value::Bool(true));
        match (chosen, wished) {
            (Network::Modules, true) => {
                (Network::On, Some("the recipe says `extra: gonda: network: true`: its script reaches the network"))
            }
            (Network::Off, true) => (
                Network::Off,
                Some(
                    "the recipe says `extra: gonda: network: true`, but the network is off: its script does not reach it",
                ),
            ),
            (chosen, _) => (chosen, None),
        }
    }

    /// Puts gonda's module proxy where the scripts will find it: on loopback, or at the one address of the network that
    /// their room will have.
    pub(super) async fn open_network(&self, solved: &Solved, build_prefix: &Path) -> Result<ScriptNetwork> {
        let (mode, note) = self.network();
        let isolation = self.common.session.mode();
        let in_room = mode != Network::On && isolation.has_fixed_paths();
        let (ask, asked) = mpsc::channel(1);
        let proxy = match has_go(solved) {
            true => {
                let settings = &self.common.request.settings;
                let offline = settings.offline || mode == Network::Off;
                let store = self.module_store(build_prefix, offline)?;
                let go_cache = self.common.session.go_cache(settings, &self.common.events)?;
                let beside = Beside { go_cache, asked: Some(ask) };
                Some(Arc::new(match in_room {
                    true => store.proxy_at(SERVICE, beside),
                    false => store.serve_with(beside).await?,
                }))
            }
            false => None,
        };
        let reach = match mode {
            Network::On => Reach::Everything,
            Network::Modules | Network::Off => Reach::Loopback(proxy.clone().filter(|_| in_room).map(|proxy| {
                let serve: crate::isolation::Serve = Arc::new(move |listener| proxy.answer_on(listener));
                serve
            })),
        };
        let closed = mode != Network::On && isolation.closes_network();
        Ok(ScriptNetwork { mode, proxy, closed, reach, asked, note: note.map(str::to_owned) })
    }
}
