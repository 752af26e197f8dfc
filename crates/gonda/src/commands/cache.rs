//! `gonda cache`: what the caches take, and making them smaller.

use std::process::ExitCode;
use std::time::Duration;

use gonda_driver::Result;
use gonda_driver::cache::{self, Removed};
use serde_json::json;

use crate::args::{CacheCommand, Format};
use crate::config::Surroundings;
use crate::report::{Reporter, size, table};

const DAY: u64 = 24 * 60 * 60;

pub(crate) fn run(
    command: &CacheCommand,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let root = surroundings.cache_root()?;
    let events = reporter.events();
    match command {
        CacheCommand::Size => {
            let parts = cache::size(&root)?;
            let total: u64 = parts.iter().map(|part| part.bytes).sum();
            if format == Format::Text {
                let mut rows: Vec<Vec<String>> = parts
                    .iter()
                    .filter(|part| part.files > 0)
                    .map(|part| vec![part.name.clone(), part.what.clone(), part.files.to_string(), size(part.bytes)])
                    .collect();
                rows.push(vec!["total".to_owned(), root.display().to_string(), String::new(), size(total)]);
                reporter.data(&table(&["folder", "what", "files", "size"], &rows));
            } else {
                reporter.data(&crate::report::pretty(&json!({ "root": root, "parts": parts, "bytes": total }))?);
            }
        }
        CacheCommand::Prune { days } => {
            let age = Duration::from_secs(days.saturating_mul(DAY));
            show(&cache::prune(&root, age, &events)?, reporter, format)?;
        }
        CacheCommand::Clean => show(&cache::clean(&root, &events)?, reporter, format)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(removed: &Removed, reporter: &Reporter, format: Format) -> Result<()> {
    let text = match format {
        Format::Text => format!("removed {} entries, {}", removed.entries, size(removed.bytes)),
        Format::Json | Format::Yaml => crate::report::pretty(removed)?,
    };
    reporter.data(&text);
    Ok(())
}
