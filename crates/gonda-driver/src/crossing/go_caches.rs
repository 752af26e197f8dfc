//! The two GOCACHEs of a cross build. What is built for the machine that builds – tools, tests, native twins – has one of
//! its own, which begins with that machine's standard library as gonda compiled it.
//!
//! Whether a script builds anything for this machine shows when it does, and nothing can be laid under a GOCACHE that is
//! mounted by then. So the first such call of Go has gonda asked, outside, over the one connection that a script has
//! ([`STD`]), and gonda puts a copy into the folder of its own; a script that builds for the target alone pays nothing.
//! Where that can't be had the cache begins empty, and Go compiles what it needs.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Crossing, journal};
use crate::Result;
use crate::isolation::{Room, go_cache, paths};
use crate::modules::STD;
use crate::process::Relay;

/// Where it stands at which address gonda is asked, in the folder of gonda's own.
const ADDRESS: &str = "std";
/// How long a standard library may take: it is compiled on a busy machine, or others are waited for who do so.
const PATIENCE: Duration = Duration::from_secs(1200);
/// What Go compiles with these is for the platform that GOOS and GOARCH name.
const COMPILING: &[&str] = &["build", "install", "run", "test", "tool", "vet"];

/// The GOCACHEs of a job, as its script sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoCaches {
    /// For the target: what GOCACHE is when a script starts.
    pub(super) target: PathBuf,
    /// For the machine that builds.
    pub(super) native: PathBuf,
}

/// Lets a room's `go` ask for the standard library at this address, if gonda stands for Go in the room.
///
/// # Errors
/// When that can't be written down.
pub(crate) fn answer_at(room: &Room, address: SocketAddr) -> Result<()> {
    match room.paths().own {
        Some(_) => Ok(fs_err::write(room.disk().own.join(ADDRESS), address.to_string())?),
        None => Ok(()),
    }
}

/// Begins a job's GOCACHE for the machine that builds with what is in a layer, if it isn't begun yet: in the folder of
/// gonda's own, and made in the job's, for in the first a script could lead the copy astray with links.
///
/// # Errors
/// When it can't be copied.
pub(crate) fn begin_native(own: &Path, job: &Path, layer: &Path) -> Result<()> {
    let place = own.join(paths::GO_CACHE);
    let aside = job.join("native_gocache");
    if place.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(&aside)?;
    go_cache::copy(layer, &aside)?;
    go_cache::stamp(&aside)?;
    Ok(fs_err::rename(aside, place)?)
}

/// Gives a call of Go the GOCACHE of the platform that it builds for.
pub(super) fn give(crossing: &Crossing, verb: &str, call: &mut Relay) {
    let Some(caches) = &crossing.go_caches else { return };
    let Some(chosen) = choose(crossing, caches, verb, &|name| call.variable(name)) else { return };
    if chosen != caches.native || begin(crossing, chosen).is_ok() {
        call.set.push(("GOCACHE".to_owned(), chosen.into()));
    }
}

fn choose<'a>(
    crossing: &Crossing,
    caches: &'a GoCaches,
    verb: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<&'a Path> {
    let now = PathBuf::from(env("GOCACHE")?);
    // One of the script's own stays.
    if (now != caches.target && now != caches.native) || !COMPILING.contains(&verb) {
        return None;
    }
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let native = set("GOOS").is_none_or(|goos| goos == crossing.build_goos)
        && set("GOARCH").is_none_or(|goarch| goarch == crossing.build_goarch);
    let chosen = match native {
        // With C it is another library, which nobody compiled beforehand.
        true if set("CGO_ENABLED").as_deref() != Some("0") => return None,
        true => &caches.native,
        false => &caches.target,
    };
    (now != *chosen).then_some(chosen)
}

/// Makes sure that the GOCACHE for the machine that builds is there.
fn begin(crossing: &Crossing, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let lock = fs_err::File::create(folder.with_extension("lock"))?.into_parts().0;
    // A script may build several programs at once, and gonda is asked for the first.
    lock.lock()?;
    if folder.is_dir() {
        return Ok(());
    }
    if ask(crossing).unwrap_or(false) {
        let machine = crossing.build_machine();
        journal::say(crossing, &format!("the standard library for {machine} is there, as gonda compiled it"));
    }
    Ok(fs_err::create_dir_all(folder)?)
}

/// Asks gonda to begin the cache; whether it has.
fn ask(crossing: &Crossing) -> std::io::Result<bool> {
    let mut address = String::new();
    File::open(crossing.own.join(ADDRESS))?.take(256).read_to_string(&mut address)?;
    let mut line = TcpStream::connect(address.trim())?;
    line.set_read_timeout(Some(PATIENCE))?;
    line.write_all(
        format!("POST {STD} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", address.trim())
            .as_bytes(),
    )?;
    let mut answer = String::new();
    line.take(1024).read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The GOCACHE of a call, by what is in its environment beside GOCACHE, which is the target's.
    fn check(verb: &str, env: &str, expected: &str) {
        let crossing = super::super::tests::linux_aarch64();
        let caches = GoCaches { target: "/t".into(), native: "/n".into() };
        let env = |name: &str| {
            let set = env.split_whitespace().filter_map(|word| word.split_once('='));
            let value = set.filter(|(set, _)| *set == name).map(|(_, value)| value.to_owned()).next_back();
            value.or_else(|| (name == "GOCACHE").then(|| "/t".to_owned()))
        };
        let chosen = choose(&crossing, &caches, verb, &env);
        assert_eq!(chosen.map_or_else(|| "as it is".to_owned(), |path| path.display().to_string()), expected);
    }

    #[test]
    fn each_platform_has_its_own() {
        let target = "GOOS=linux GOARCH=arm64 CGO_ENABLED=0";
        let native = "GOOS=linux GOARCH=amd64 CGO_ENABLED=0";
        check("build", target, "as it is");
        check("build", &format!("{target} GOCACHE=/n"), "/t");
        check("run", native, "/n");
        check("test", "CGO_ENABLED=0", "/n");
        check("build", "GOARCH=amd64 CGO_ENABLED=0", "/n");
        check("build", &format!("{native} GOCACHE=/n"), "as it is");
        check("build", &format!("{native} GOCACHE=/own"), "as it is");
        check("build", "GOOS=linux GOARCH=amd64 CGO_ENABLED=1", "as it is");
        check("build", "GOOS=linux GOARCH=amd64", "as it is");
        check("env", native, "as it is");
    }

    #[test]
    fn without_an_answer_it_begins_empty() {
        let own = tempfile::tempdir().unwrap();
        let crossing = Crossing { own: own.path().to_owned(), ..super::super::tests::linux_aarch64() };
        let folder = own.path().join("gocache");
        begin(&crossing, &folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        begin(&crossing, &folder).unwrap();
    }
}
