//! Turns the text of a recipe, variant files and two platforms into concrete outputs.
//!
//! Two recipe formats go in, `meta.yaml` (v0, rendered as conda-build does) and `recipe.yaml` (v1, rendered as
//! rattler-build does); one type comes out, [`Output`]. The crate is pure: files, the environment and git are
//! asked through [`World`], so the same inputs always give the same outputs.
//!
//! The way through: [`load`] reads a recipe and its variants into a [`Rendering`], whose `outputs` stand in build
//! order, rendered without any solved environment. Once the driver has solved an output's environments, it asks
//! [`Rendering::finalize`] for the output as it is packed: exact pins, run exports and the hash take their values.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod fuzz;
mod output;
mod rendering;
pub mod v0;
pub mod v1;
mod variant;
mod world;

pub use error::{RecipeError, RecipeErrors};
pub use output::{
    About, Build, Env, FileMatch, LegacyTest, Noarch, Output, PackageTest, PinnedOutput, RecipeFormat, Requirements,
    Resolved, ResolvedPackage, Script, ScriptContent, ScriptVariable, Sections, Source, SourceKind, Tests, TopLevel,
};
pub use rendering::{ConfigPlatform, Finalize, Rendering, Request, VariantFiles, load};
pub use variant::Variant;
pub use world::{DiskWorld, GitInfo, MemoryWorld, World};
