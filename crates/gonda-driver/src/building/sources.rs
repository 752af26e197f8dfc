//! The sources of a run's groups: fetched, unpacked and patched once for all groups that build from the same ones –
//! the targets of a recipe, mostly. Each group gets a copy of its own to work in, and the last one the tree itself.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gonda_recipe::Output;
use tokio::sync::{OnceCell, Semaphore};

use super::Request;
use super::checkout::Checkout;
use super::facts::{self, Facts};
use crate::files::blocking;
use crate::source::{self, Fetched, Placed, SourceSettings};
use crate::truth::Known;
use crate::workspace::Workspace;
use crate::{Error, Event, Events, Kind, Phase, Result};

/// How many sources are fetched and unpacked at the same time.
const PARALLEL_FETCHES: usize = 4;

/// What the groups of a run are built from.
pub(super) struct Sources {
    trees: HashMap<String, Arc<Tree>>,
}

/// A source tree, for those who build from it.
struct Tree {
    /// How many groups may still want a copy of their own.
    users: Mutex<usize>,
    facts: OnceCell<Arc<Facts>>,
    /// `None`: it could not be had, and who asked first has said why.
    laid: OnceCell<Option<Arc<Laid>>>,
    /// Of all trees.
    fetching: Arc<Semaphore>,
}

/// A tree on disk.
struct Laid {
    workspace: Workspace,
    placed: Placed,
    known: Arc<Known>,
    facts: Arc<Facts>,
}

/// Why there is no source; `None` where another group of the same source has said so.
type Lack = Option<Error>;

/// Who asks for a source, and which.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) request: &'a Request,
    pub(super) output: &'a Output,
    pub(super) events: &'a Events,
    /// The job's name.
    pub(super) job: &'a str,
}

/// The source of one group.
pub(super) struct Source {
    tree: Arc<Tree>,
    facts: Arc<Facts>,
    /// Whether the group has what it wants of the tree.
    served: AtomicBool,
}

impl Sources {
    /// For groups whose sources have these keys.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut users: HashMap<String, usize> = HashMap::new();
        for key in keys {
            *users.entry(key.to_owned()).or_default() += 1;
        }
        let fetching = Arc::new(Semaphore::new(PARALLEL_FETCHES));
        let tree = |users| {
            let (users, fetching) = (Mutex::new(users), Arc::clone(&fetching));
            Arc::new(Tree { users, facts: OnceCell::new(), laid: OnceCell::new(), fetching })
        };
        Self { trees: users.into_iter().map(|(key, users)| (key, tree(users))).collect() }
    }

    /// The source of a group. If nobody has done so before it is fetched and laid out; where what was built before may
    /// be the answer, and the source's facts are known from another run, not until somebody builds from it.
    ///
    /// # Errors
    /// As [`source::fetch`] and [`source::place`].
    pub(super) async fn get(&self, key: &str, asker: Asker<'_>) -> Result<Source, Lack> {
        let Some(tree) = self.trees.get(key) else {
            return Err(Some(Error::new(Kind::Bug, "a group's source was not planned")));
        };
        let find = || async {
            let known =
                if asker.request.settings.takes_finished() { facts::recall(asker.request, asker.output) } else { None };
            match known {
                Some(facts) => Ok(Arc::new(facts)),
                None => tree.lay(asker).await.map(|laid| Arc::clone(&laid.facts)),
            }
        };
        let facts = Arc::clone(tree.facts.get_or_try_init(find).await?);
        Ok(Source { tree: Arc::clone(tree), facts, served: AtomicBool::new(false) })
    }
}

/// What two outputs must agree in to be built from the same tree.
pub(super) fn key(request: &Request, output: &Output) -> String {
    let settings = &request.settings;
    format!("{:?}\n{:?} {:?} {:?}", output.sources, request.located.recipe_dir, output.format, settings.source_mirrors)
}

impl Tree {
    fn users(&self) -> MutexGuard<'_, usize> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_less(&self) {
        let mut users = self.users();
        *users = users.saturating_sub(1);
    }

    /// The tree on disk.
    async fn lay(&self, asker: Asker<'_>) -> Result<Arc<Laid>, Lack> {
        let mut failure = None;
        let laid = self
            .laid
            .get_or_init(|| async {
                let _permit = self.fetching.acquire().await;
                asker.events.send(Event::Phase { job: asker.job.to_owned(), phase: Phase::Fetch });
                lay(asker).await.map_err(|error| failure = Some(error)).ok()
            })
            .await;
        laid.clone().ok_or(failure)
    }
}

/// Sources into the cache, from there into a folder, patched.
async fn lay(asker: Asker<'_>) -> Result<Arc<Laid>> {
    let Asker { request, output, events, job } = asker;
    let settings = &request.settings;
    let sources = SourceSettings {
        mirrors: settings.source_mirrors.clone(),
        offline: settings.offline,
        ..SourceSettings::new(&settings.cache_root, &request.located.recipe_dir, output.format)
    };
    let fetched: Vec<Fetched> = source::fetch(&output.sources, &sources, events, job).await?;
    let workspace = Workspace::create(&settings.cache_root)?;
    let of_output = output.clone();
    // The workspace lasts as long as somebody writes to it, even if nobody waits for that any more.
    let (laid, remarks) = blocking(move || {
        let folder = folder(&workspace);
        let placed = source::place_all(&fetched, &folder)?;
        let remarks = placed.remarks.clone();
        let known = Arc::new(Known::of(&placed.src_dir)?);
        let facts = Arc::new(Facts::of(&folder, &placed, &of_output)?);
        Ok((Laid { workspace, placed, known, facts }, remarks))
    })
    .await?;
    for remark in remarks {
        events.note(job, remark);
    }
    if let Err(error) = facts::keep(request, output, &laid.facts) {
        events.note(job, format!("the source's facts are not kept for the next time: {error}"));
    }
    Ok(Arc::new(laid))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.path().join("source")
}

impl Source {
    /// What is known of it from before any script has run.
    pub(super) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The source in a work folder of the group's own, laid out if nobody has done so before.
    ///
    /// # Errors
    /// As [`Sources::get`]; the cache can't be written.
    pub(super) async fn check_out(&self, asker: Asker<'_>) -> Result<Checkout> {
        let laid = self.tree.lay(asker).await.map_err(|lack| {
            let said = || Error::new(Kind::Unavailable, "its source can't be had, as another job says");
            lack.unwrap_or_else(said)
        })?;
        self.served.store(true, Ordering::Relaxed);
        let workspace = Workspace::create(&asker.request.settings.cache_root)?;
        let tree = Arc::clone(&self.tree);
        blocking(move || {
            let (from, work) = (folder(&laid.workspace), folder(&workspace));
            // Who takes the tree itself must know that nobody copies it any more.
            let last = *tree.users() == 1;
            if last {
                fs_err::rename(&from, &work)?;
            } else {
                let copied = source::duplicate(&from, &work);
                tree.one_less();
                copied?;
            }
            let placed = laid.placed.moved(&from, &work);
            let (known, facts) = (Arc::clone(&laid.known), Arc::clone(&laid.facts));
            Ok(Checkout { workspace, work, placed, known, facts, top: None })
        })
        .await
    }
}

impl Drop for Source {
    /// A group that was answered without it wants no copy any more.
    fn drop(&mut self) {
        if !*self.served.get_mut() {
            self.tree.one_less();
        }
    }
}
