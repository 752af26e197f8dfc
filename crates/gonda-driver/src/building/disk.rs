//! Room on the disk: a job writes what nobody knows beforehand – a script's output, a package of a channel that unpacks to
//! a thousand times its size. It is ended before nothing is left for the rest of the machine.

use std::path::Path;
use std::time::Duration;

use crate::{Error, Kind, Result, host};

/// How often the kernel is asked, which costs it microseconds; it has no quota for a folder that anybody may set.
const PERIOD: Duration = Duration::from_millis(250);

/// Does work that writes to the disk of `folder`, and ends it when less than `reserve` bytes are free there; on a disk that
/// is fuller than that already, half of what is free now.
///
/// # Errors
/// Those of the work; [`Kind::Machine`] when it was ended.
pub(super) async fn leaving_room<T>(folder: &Path, reserve: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
    let least = host::free_space(folder).map_or(0, |free| reserve.min(free / 2));
    if least == 0 {
        return work.await;
    }
    tokio::select! {
        result = work => result,
        () = less_than(least, folder) => Err(Error::new(
            Kind::Machine,
            format!("the job was ended: it left less than {} on the disk of `{}`", shown(least), folder.display()),
        )
        .help(
            "free some space, or set another cache folder with `GONDA_CACHE_DIR`; `--min-free-disk` says how much is to stay \
             free",
        )),
    }
}

async fn less_than(least: u64, folder: &Path) {
    let mut clock = tokio::time::interval(PERIOD);
    loop {
        clock.tick().await;
        if host::free_space(folder).is_some_and(|free| free < least) {
            return;
        }
    }
}

fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_as_it_would() {
        let folder = tempfile::tempdir().unwrap();
        let work = |result: Result<u8>| async { result };
        assert_eq!(leaving_room(folder.path(), 1, work(Ok(1))).await.unwrap(), 1);
        let error = leaving_room(folder.path(), 1, work(Err(Error::new(Kind::Build, "x")))).await.unwrap_err();
        assert_eq!(error.message, "x");
        // Of a folder that isn't there nothing is known.
        assert_eq!(leaving_room(&folder.path().join("missing"), u64::MAX, work(Ok(2))).await.unwrap(), 2);
    }
}
