//! The sources of a run's groups: fetched, unpacked and patched once for all groups that build from the same ones –
//! the targets of a recipe, mostly. Each group gets a copy of its own to work in, and the last one the tree itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gonda_recipe::Output;
use tokio::sync::{OnceCell, Semaphore};

use super::Request;
use super::group::Checkout;
use super::truth::Known;
use super::unchanged::Origin;
use crate::files::blocking;
use crate::source::{self, Fetched, Placed, SourceSettings};
use crate::workspace::Workspace;
use crate::{Error, Event, Events, Kind, Phase, Result};

/// How many sources are fetched and unpacked at the same time.
const PARALLEL_FETCHES: usize = 4;

/// What the groups of a run are built from.
pub(super) struct Sources {
    trees: HashMap<String, Arc<Tree>>,
    fetching: Semaphore,
}

/// A source tree, for those who build from it.
struct Tree {
    /// How many groups don't have their own copy yet.
    users: Mutex<usize>,
    /// `None`: it could not be had, and who asked first has said why.
    laid: OnceCell<Option<Arc<Laid>>>,
}

impl Tree {
    fn users(&self) -> MutexGuard<'_, usize> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tree on disk.
pub(super) struct Laid {
    workspace: Workspace,
    placed: Placed,
    known: Arc<Known>,
}

/// The source of one group.
pub(super) struct Source {
    tree: Arc<Tree>,
    laid: Arc<Laid>,
}

impl Sources {
    /// For groups whose sources have these keys.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut users: HashMap<String, usize> = HashMap::new();
        for key in keys {
            *users.entry(key.to_owned()).or_default() += 1;
        }
        let tree = |users| Arc::new(Tree { users: Mutex::new(users), laid: OnceCell::new() });
        let trees = users.into_iter().map(|(key, users)| (key, tree(users))).collect();
        Self { trees, fetching: Semaphore::new(PARALLEL_FETCHES) }
    }

    /// The source of an output's group, fetched and laid out if nobody has done so before. `None` where somebody has
    /// tried in vain, and said so.
    ///
    /// # Errors
    /// As [`source::fetch`] and [`source::place`].
    pub(super) async fn get(
        &self,
        key: &str,
        request: &Request,
        output: &Output,
        events: &Events,
        job: &str,
    ) -> Result<Option<Source>> {
        let Some(tree) = self.trees.get(key) else {
            return Err(Error::new(Kind::Bug, "a group's source was not planned"));
        };
        let mut failure = None;
        let laid = tree
            .laid
            .get_or_init(|| async {
                let _permit = self.fetching.acquire().await;
                events.send(Event::Phase { job: job.to_owned(), phase: Phase::Fetch });
                lay(request, output, events, job).await.map_err(|error| failure = Some(error)).ok()
            })
            .await;
        match failure {
            Some(error) => Err(error),
            None => Ok(laid.clone().map(|laid| Source { tree: Arc::clone(tree), laid })),
        }
    }
}

/// What two outputs must agree in to be built from the same tree.
pub(super) fn key(request: &Request, output: &Output) -> String {
    let settings = &request.settings;
    format!("{:?}\n{:?} {:?} {:?}", output.sources, request.located.recipe_dir, output.format, settings.source_mirrors)
}

/// Sources into the cache, from there into a folder, patched.
async fn lay(request: &Request, output: &Output, events: &Events, job: &str) -> Result<Arc<Laid>> {
    let settings = &request.settings;
    let sources = SourceSettings {
        mirrors: settings.source_mirrors.clone(),
        offline: settings.offline,
        ..SourceSettings::new(&settings.cache_root, &request.located.recipe_dir, output.format)
    };
    let fetched: Vec<Fetched> = source::fetch(&output.sources, &sources, events, job).await?;
    let workspace = Workspace::create(&settings.cache_root)?;
    let (laid, remarks) = blocking(move || {
        let placed = source::place_all(&fetched, &folder(&workspace))?;
        let remarks = placed.remarks.clone();
        let known = Arc::new(Known::of(&placed.src_dir)?);
        // The workspace lasts as long as somebody writes to it, even if nobody waits for that any more.
        Ok((Laid { workspace, placed, known }, remarks))
    })
    .await?;
    for remark in remarks {
        events.note(job, remark);
    }
    Ok(Arc::new(laid))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.path().join("source")
}

impl Source {
    /// The source in a work folder of the group's own.
    ///
    /// # Errors
    /// The cache can't be written.
    pub(super) async fn check_out(&self, cache_root: &Path, output: &Output) -> Result<Checkout> {
        let workspace = Workspace::create(cache_root)?;
        let from = folder(&self.laid.workspace);
        let (tree, laid, output) = (Arc::clone(&self.tree), Arc::clone(&self.laid), output.clone());
        blocking(move || {
            let work = folder(&workspace);
            // Who takes the tree itself must know that nobody copies it any more.
            let last = *tree.users() == 1;
            if last {
                fs_err::rename(&from, &work)?;
            } else {
                let copied = source::duplicate(&from, &work);
                let mut users = tree.users();
                *users = users.saturating_sub(1);
                drop(users);
                copied?;
            }
            let placed = laid.placed.moved(&from, &work);
            let known = Arc::clone(&laid.known);
            let mut checkout = Checkout { workspace, work, placed, known, origin: Origin::default(), top: None };
            checkout.origin = Origin::of(&checkout, &output)?;
            Ok(checkout)
        })
        .await
    }
}
