//! `gonda gocache`: a Go build cache that machines share.

use std::net::TcpListener;
use std::process::ExitCode;

use gonda_driver::{Error, Kind, Result, go_cache};
use serde_json::json;

use crate::args::{Format, ServeArgs};
use crate::config::Surroundings;
use crate::report::Reporter;

/// Serves until it is interrupted.
pub(crate) async fn serve(
    args: &ServeArgs,
    surroundings: &Surroundings,
    reporter: &Reporter,
    format: Format,
) -> Result<ExitCode> {
    let folder = match &args.folder {
        Some(folder) => surroundings.current_dir.join(folder),
        None => go_cache::default_folder(&surroundings.cache_root()?),
    };
    let listener = TcpListener::bind(args.listen).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = listener.map_err(|error| {
        Error::new(Kind::Machine, format!("could not listen on `{}`", args.listen))
            .because(error)
            .help("choose another address and port with `--listen`; port 0 takes a free one")
    })?;
    let url = format!("http://{address}");
    reporter.data(&match format {
        Format::Text => format!("serving `{}` at {url}", folder.display()),
        Format::Json | Format::Yaml => json!({ "folder": folder, "url": url }).to_string(),
    });
    go_cache::serve(folder, listener).await?;
    Ok(ExitCode::SUCCESS)
}
