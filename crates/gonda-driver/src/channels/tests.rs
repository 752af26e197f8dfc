use std::error::Error as _;

use super::*;
use crate::index::tests::{TestPackage, write_package};
use serde_json::json;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn channel(&self, name: &str, packages: &[(&str, &str, &str, &[&str])]) {
        for (subdir, name_of_package, version, depends) in packages {
            let run_exports = (*name_of_package == "lib").then(|| json!({ "weak": ["lib >=1"] }));
            let package = TestPackage { subdir, name: name_of_package, version, depends, files: &[], run_exports };
            write_package(&self.path(name), &package);
        }
        std::fs::create_dir_all(self.path(name)).unwrap();
        crate::index::index(&self.path(name), &Events::silent()).unwrap();
    }

    fn open(&self, channels: &[&str]) -> Result<Channels> {
        let settings = ChannelSettings {
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            channel_alias: None,
            cache_root: self.path("cache"),
            offline: true,
            base_dir: self.folder.path().to_owned(),
        };
        Channels::open(settings, Events::silent())
    }

    fn request(&self, specs: &[&str]) -> SolveRequest {
        SolveRequest {
            what: "build environment of hello".to_owned(),
            specs: specs.iter().map(|&spec| spec.to_owned()).collect(),
            constraints: Vec::new(),
            platform: Subdir::Linux64,
            virtual_packages: virtual_packages(Subdir::Linux64, false).unwrap(),
            local: Some(LocalChannel::new(self.path("out"))),
        }
    }

    /// The chosen packages with their channels, or the error.
    async fn check(&self, channels: &[&str], specs: &[&str]) -> String {
        let answer = match self.open(channels) {
            Ok(channels) => channels.solve(&self.request(specs)).await.map(|records| (channels, records)),
            Err(error) => Err(error),
        };
        match answer {
            Ok((channels, records)) => records
                .iter()
                .map(|record| format!("{}/{}", channels.name_of(record), record.identifier.to_file_name()))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                let text = format!(
                    "{:?}: {error}\ncause: {cause}\nhelp: {}",
                    error.kind,
                    error.help.clone().unwrap_or_default()
                );
                text.replace(&self.folder.path().display().to_string(), "ROOT")
            }
        }
    }
}

#[tokio::test]
async fn the_first_channel_with_a_name_decides_and_the_output_folder_goes_first() {
    let world = World::new();
    world.channel("one", &[("linux-64", "a", "1", &["lib"]), ("noarch", "lib", "1", &[])]);
    world.channel("two", &[("linux-64", "a", "2", &[]), ("linux-64", "b", "1", &["a", "__glibc >=2.17"])]);
    assert_eq!(world.check(&["./one", "./two"], &["b"]).await, "one/a-1-0.conda two/b-1-0.conda one/lib-1-0.conda");
    assert_eq!(world.check(&["./two", "nodefaults", "./one"], &["b"]).await, "two/a-2-0.conda two/b-1-0.conda");
    world.channel("out", &[("linux-64", "a", "0.5", &[])]);
    assert_eq!(world.check(&["./two"], &["b"]).await, "out/a-0.5-0.conda two/b-1-0.conda");
}

#[tokio::test]
async fn what_was_just_built_is_found_by_the_next_solve() {
    let world = World::new();
    world.channel("one", &[("linux-64", "a", "1", &[])]);
    let channels = world.open(&["./one"]).unwrap();
    let solve = async |spec: &str| channels.solve(&world.request(&[spec])).await.map(|records| records.len());
    assert!(solve("new").await.is_err());
    world.channel("out", &[("linux-64", "new", "1", &["a"])]);
    assert_eq!(solve("new").await.unwrap(), 2);
    world.channel("out", &[("linux-64", "newer", "1", &["new"])]);
    assert_eq!(solve("newer").await.unwrap(), 3);
}

#[tokio::test]
async fn what_a_run_makes_is_seen_by_those_that_wait_for_it() {
    let world = World::new();
    world.channel("one", &[("linux-64", "a", "1", &["lib"]), ("linux-64", "lib", "1", &[])]);
    world.channel("out", &[("linux-64", "lib", "2", &[]), ("linux-64", "old", "1", &["fresh"])]);
    let made = [("linux-64", "lib"), ("linux-64", "fresh"), ("osx-64", "a")];
    let made = Arc::new(made.map(|(subdir, name)| (subdir.to_owned(), name.to_owned())).into());
    let channels = world.open(&["./one"]).unwrap();
    let check = async |spec: &str, seen: &[&str]| {
        let mut local = LocalChannel::new(world.path("out")).hiding(Arc::clone(&made));
        seen.iter().for_each(|file| local.show(&world.path("out").join(file)));
        let request = SolveRequest { local: Some(local), ..world.request(&[spec]) };
        match channels.solve(&request).await {
            Ok(records) => records.iter().map(|record| record.identifier.to_file_name()).collect::<Vec<_>>().join(" "),
            Err(error) => error.help.unwrap_or_default(),
        }
    };
    assert_eq!(check("a", &[]).await, "a-1-0.conda lib-1-0.conda");
    assert_eq!(check("a", &["linux-64/lib-2-0.conda"]).await, "a-1-0.conda lib-2-0.conda");
    assert_eq!(check("a", &["linux-64/lib-3-0.conda"]).await, "a-1-0.conda lib-1-0.conda");
    world.channel("out", &[("linux-64", "fresh", "1", &[])]);
    let help = check("old", &[]).await;
    assert!(help.contains("`fresh` is built in the same run, and seen only by recipes that name it"), "{help}");
    assert_eq!(check("old", &["linux-64/fresh-1-0.conda"]).await, "fresh-1-0.conda old-1-0.conda");
}

#[tokio::test]
async fn what_cannot_be_solved_is_explained() {
    let world = World::new();
    world.channel("one", &[("linux-64", "a", "1", &["b >=2"]), ("linux-64", "b", "1", &[])]);
    let text = world.check(&["./one"], &["a"]).await;
    assert!(text.starts_with("Unavailable: could not solve the build environment of hello for linux-64\n"), "{text}");
    assert!(text.contains("b >=2"), "{text}");
    assert!(text.contains("file://ROOT/one"), "{text}");
    let text = world.check(&["./one"], &["a", "nosuch"]).await;
    assert!(text.contains("help: no package `nosuch` for linux-64 in channels: `file://ROOT/one"), "{text}");
    let text = world.check(&["./one"], &["a ==>1"]).await;
    assert!(text.starts_with("Usage: `a ==>1`, a requirement of the build environment of hello"), "{text}");
    let text = world.check(&["bad:name"], &["a"]).await;
    assert!(text.starts_with("Usage: `bad:name` is not a channel"), "{text}");
}

#[tokio::test]
async fn a_channel_that_cannot_be_read_is_named() {
    let world = World::new();
    world.channel("one", &[("linux-64", "a", "1", &[])]);
    std::fs::create_dir(world.path("bare")).unwrap();
    let text = world.check(&["./one", "./none"], &["a"]).await;
    assert!(text.contains("channel `file://ROOT/none/`"), "{text}");
    assert!(text.contains("does not exist"), "{text}");
    let text = world.check(&["./one", "./bare"], &["a"]).await;
    assert!(text.contains("help: run `gonda channel index ROOT/bare`"), "{text}");
    let text = world.check(&["./one", "http://127.0.0.1:9/somewhere"], &["a"]).await;
    assert!(text.starts_with("Unavailable: channel `http://127.0.0.1:9/somewhere/`"), "{text}");
    assert!(text.contains("help: `--offline` forbids fetching"), "{text}");
    std::fs::write(world.path("one/linux-64/repodata.json"), "{ not json").unwrap();
    let text = world.check(&["./one"], &["a"]).await;
    assert!(text.starts_with("Unavailable: "), "{text}");
    assert!(text.contains("file://ROOT/one"), "{text}");
}

#[tokio::test]
async fn a_channel_that_is_down_is_named() {
    let world = World::new();
    let mut settings = ChannelSettings {
        channels: vec!["http://127.0.0.1:9/somewhere".to_owned()],
        channel_alias: None,
        cache_root: world.path("cache"),
        offline: false,
        base_dir: world.folder.path().to_owned(),
    };
    let channels = Channels::open(settings.clone(), Events::silent()).unwrap();
    let error = channels.solve(&world.request(&["a"])).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("`http://127.0.0.1:9/somewhere/`"), "{error}");
    settings.channel_alias = Some("no url".to_owned());
    assert_eq!(Channels::open(settings, Events::silent()).unwrap_err().kind, Kind::Usage);
}

/// Serves files below a folder, one request at a time, and gives the url. Ends with the process.
fn serve(folder: PathBuf) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
            let (status, body) = match std::fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            if !request.starts_with("HEAD") {
                stream.write_all(&body).unwrap();
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn what_was_fetched_once_serves_offline() {
    let world = World::new();
    world.channel("one", &[("linux-64", "lib", "1", &[]), ("linux-64", "a", "1", &["lib"])]);
    let server = serve(world.folder.path().to_owned());
    let open = |cache: &str, offline: bool| {
        let settings = ChannelSettings {
            channels: vec!["one".to_owned()],
            channel_alias: Some(server.clone()),
            cache_root: world.path(cache),
            offline,
            base_dir: world.folder.path().to_owned(),
        };
        Channels::open(settings, Events::silent()).unwrap()
    };
    let install = async |channels: &Channels, place: &str| {
        let records = channels.solve(&world.request(&["a"])).await?;
        let lib = records.iter().find(|record| record.package_record.name.as_normalized() == "lib").unwrap();
        assert_eq!(channels.run_exports(lib).await?.weak, ["lib >=1"]);
        assert_eq!(channels.name_of(lib), "one");
        let at = world.path(place);
        let share = crate::environment::Share::Private;
        crate::environment::install(channels, &records, Subdir::Linux64, &at, &at, share).await
    };
    install(&open("cache", false), "env").await.unwrap();
    install(&open("cache", true), "env-offline").await.unwrap();
    let error = install(&open("other-cache", true), "env-empty").await.unwrap_err();
    assert!(error.message.starts_with(&format!("channel `{server}/one/`")), "{error}");
    assert!(error.help.unwrap().contains("--offline"));

    std::fs::remove_file(world.path("one/linux-64/a-1-0.conda")).unwrap();
    let error = install(&open("third-cache", false), "env-gone").await.unwrap_err();
    assert_eq!((error.kind, error.message.contains("a-1-0")), (Kind::Unavailable, true), "{error}");
    let error = open("cache", false).solve(&SolveRequest { platform: Subdir::Osx64, ..world.request(&["a"]) }).await;
    assert!(error.unwrap_err().help.unwrap().contains("no package `a` for osx-64"));
}

#[tokio::test]
async fn run_exports_come_from_the_package() {
    let world = World::new();
    world.channel("one", &[("linux-64", "lib", "1", &[]), ("linux-64", "a", "1", &["lib"])]);
    let channels = world.open(&["./one"]).unwrap();
    let records = channels.solve(&world.request(&["a"])).await.unwrap();
    let mut exports = Vec::new();
    for record in &records {
        exports.push(channels.run_exports(record).await.unwrap().weak);
    }
    assert_eq!(exports, [vec![], vec!["lib >=1".to_owned()]]);
}

#[test]
fn channels_are_named_without_paths_and_passwords() {
    let world = World::new();
    let names = |channels: &[&str]| world.open(channels).unwrap().names().join(" ");
    assert_eq!(names(&["conda-forge", "./some/local", "conda-forge", "nodefaults"]), "conda-forge local");
    assert_eq!(names(&["conda-forge/label/dev", "./my own"]), "conda-forge/label/dev my own");
    let text = names(&["https://user:secret@example.org/t/token/channel"]);
    assert!(!text.contains("secret") && !text.contains("/token"), "{text}");
    assert!(text.starts_with("https://") && text.ends_with("/channel"), "{text}");
}

#[test]
fn foreign_targets_have_assumed_virtual_packages() {
    let check = |platform| {
        let packages = virtual_packages(platform, false).unwrap();
        packages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(check(Subdir::LinuxAarch64), "__unix=0=0 __linux=4.18=0 __glibc=2.28=0 __archspec=1=aarch64");
    assert_eq!(check(Subdir::OsxArm64), "__unix=0=0 __osx=13.0=0 __archspec=1=m1");
    assert_eq!(check(Subdir::Win64), "__win=10.0=0 __archspec=1=x86_64");
    assert!(!virtual_packages(Subdir::current().unwrap(), true).unwrap().is_empty());
}
