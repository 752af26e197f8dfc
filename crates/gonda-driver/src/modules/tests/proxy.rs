//! The proxy over its store: what is served, fetched, verified, refused and remembered.

use super::*;

#[tokio::test]
async fn serves_a_folder_and_then_its_store() {
    let world = World::new();
    write(world.up().join("a.b/c/@latest"), "{\"Version\":\"v1.0.0\"}");
    write(world.up().join("a.b/c/@v/main.info"), "{\"Version\":\"v1.0.0\"}");
    let proxy = world.serve(&world.file_url()).await;
    let zip_length = std::fs::metadata(world.up().join("a.b/c/@v/v1.0.0.zip")).unwrap().len();
    let asked = [
        ("a.b/c/@v/list", "200 v1.0.0".to_owned()),
        ("a.b/c/@latest", "200 {\"Version\":\"v1.0.0\"}".to_owned()),
        ("a.b/c/@v/main.info", "200 {\"Version\":\"v1.0.0\"}".to_owned()),
        ("a.b/c/@v/v1.0.0.info", "200 {\"Version\":\"v1.0.0\",\"Time\":\"2020-01-01T00:00:00Z\"}".to_owned()),
        ("a.b/c/@v/v1.0.0.mod", format!("200 {}", GO_MOD.trim_end())),
        ("a.b/c/@v/v1.0.0.zip", format!("200 ({zip_length} bytes)")),
        ("a.b/!c/@v/v1.0.0-!r!c.mod", "200 module a.b/C".to_owned()),
    ];
    for (path, expected) in &asked {
        assert_eq!(&get(&proxy, path).await, expected, "{path}");
    }
    let record = proxy.record();
    let answers: Vec<&str> = record.answers.keys().map(String::as_str).collect();
    assert_eq!(answers, ["a.b/c/@latest", "a.b/c/@v/list", "a.b/c/@v/main.info"]);
    let served = &record.modules["a.b/c@v1.0.0"];
    let sum = std::fs::read_to_string(world.store().join("a.b/c/@v/v1.0.0.ziphash")).unwrap();
    assert_eq!(served.zip.as_ref(), Some(&sum));
    assert_eq!(served.go_mod, Some(gonda_gomod::hash_go_mod(GO_MOD.as_bytes())));
    assert!(served.fetched && sum.starts_with("h1:"));

    // The store alone gives the same answers.
    let offline = world.offline().await;
    std::fs::remove_dir_all(world.up()).unwrap();
    for (path, expected) in &asked {
        assert_eq!(&get(&offline, path).await, expected, "{path}");
    }
    assert!(!offline.record().modules["a.b/c@v1.0.0"].fetched);
    assert_eq!(
        get(&offline, "a.b/x/@v/list").await,
        "404 a.b/x/@v/list: not in gonda's module store, and nobody else may be asked; `gonda fetch` fills it"
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let world = World::new();
    let proxy = world.serve("off").await;
    assert_eq!(get(&proxy, "a.b/c/@v/list").await, "404 module lookup disabled by GOPROXY=off");
    let direct = world.serve("direct").await;
    assert_eq!(get(&direct, "a.b/c/@v/list").await, "404 module a.b/c: not found by any module proxy");
    assert_eq!(direct.goproxy(false), direct.url());
    assert_eq!(direct.goproxy(true), format!("{},direct", direct.url()));
    assert_eq!(proxy.goproxy(true), proxy.url());
    assert_eq!(get(&direct, "../../etc/passwd").await, "404 not a request to a module proxy");

    let private = ProxySettings { noproxy: "a.b".to_owned(), ..world.settings(&world.file_url()) };
    let private = serve(private).await.unwrap();
    assert_eq!(get(&private, "a.b/c/@v/v1.0.0.mod").await, "404 module a.b/c: GONOPROXY keeps it from module proxies");
    let missing = get(&world.serve(&world.file_url()).await, "a.b/c/@v/v1.9.0.zip").await;
    assert!(missing.starts_with("404 ") && missing.ends_with("no such file"), "{missing}");
}

#[test]
fn malformed_lists() {
    let world = World::new();
    let error = ModuleStore::open(world.settings("ftp://x")).unwrap_err();
    assert_eq!(
        error.message,
        "GOPROXY `ftp://x` can't be used: invalid proxy URL scheme (must be https, http, file): ftp://x"
    );
    assert_eq!(error.kind, crate::Kind::Usage);
}

#[tokio::test]
async fn upstreams_are_asked_in_order() {
    let world = World::new();
    let good = Fake::folder(world.up()).await;
    let empty = Fake::new(|_, _| (404, b"nothing here".to_vec())).await;
    let gone = Fake::new(|_, _| (410, Vec::new())).await;
    let forbidden = Fake::new(|_, _| (403, b"go away".to_vec())).await;
    let moved_to = good.url.clone();
    let moved = Fake::new(move |path, _| (301, format!("{moved_to}{path}").into_bytes())).await;
    let path = "a.b/c/@v/v1.0.0.mod";
    let check = async |list: String, expected: &str| {
        let other = World::new();
        let answer = get(&other.serve(&list).await, path).await;
        let answer = answer.replace(&forbidden.url, "FORBIDDEN").replace(&empty.url, "EMPTY");
        assert_eq!(answer, expected.replace("MOD", GO_MOD.trim_end()), "{list}");
    };
    let (good, empty, gone, bad) = (&good.url, &empty.url, &gone.url, &forbidden.url);
    check(format!("{empty},{gone},{good}"), "200 MOD").await;
    check(format!("{bad}|{good}"), "200 MOD").await;
    check(moved.url.clone(), "200 MOD").await;
    let forbidden_text = "reading FORBIDDEN/a.b/c/@v/v1.0.0.mod: 403 Forbidden\ngo away";
    check(format!("{bad},{good}"), &format!("502 {forbidden_text}")).await;
    check(format!("{bad}|{empty}"), &format!("502 {forbidden_text}")).await;
    check(format!("{bad}|direct"), &format!("404 {forbidden_text}")).await;
    check(empty.clone(), "404 reading EMPTY/a.b/c/@v/v1.0.0.mod: 404 Not Found\nnothing here").await;
}

#[tokio::test]
async fn transfers_that_break_off_are_repeated() {
    let world = World::new();
    let up = world.up();
    let flaky = Fake::new(move |path, count| {
        let bytes = std::fs::read(up.join(path.trim_start_matches('/'))).unwrap();
        (if count == 0 { 0 } else { 200 }, bytes)
    })
    .await;
    let proxy = world.serve(&flaky.url).await;
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.zip").await.starts_with("200 "));
    assert_eq!(flaky.hits.load(Ordering::SeqCst), 2);
    assert!(proxy.record().failures.is_empty());
}

#[tokio::test]
async fn a_dead_upstream_is_a_failure() {
    let world = World::new();
    let url = Fake::new(|_, _| (200, Vec::new())).await.url.clone();
    tokio::task::yield_now().await;
    let proxy = world.serve(&format!("{url},direct")).await;
    let answer = get(&proxy, "a.b/c/@v/list").await;
    assert!(answer.starts_with("502 reading http://127.0.0.1:"), "{answer}");
    assert_eq!(proxy.record().failures.len(), 1);
}

#[tokio::test]
async fn parallel_requests_fetch_once() {
    let world = World::new();
    let upstream = Fake::folder(world.up()).await;
    let store = ModuleStore::open(world.settings(&upstream.url)).unwrap();
    let proxies = [store.serve().await.unwrap(), store.serve().await.unwrap()];
    let all = (0..16).map(|index| get(&proxies[index % 2], "a.b/c/@v/v1.0.0.zip"));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.starts_with("200 ")), "{answers:?}");
    assert_eq!(upstream.hits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn damaged_entries_are_fetched_again() {
    let world = World::new();
    let path = "a.b/c/@v/v1.0.0.zip";
    let whole = get(&world.serve(&world.file_url()).await, path).await;
    let damage: [(&str, &[u8]); 3] =
        [(path, b"not a zip"), ("a.b/c/@v/v1.0.0.mod", b"\""), ("a.b/c/@v/v1.0.0.info", b"")];
    for (path, bytes) in damage {
        write(world.store().join(path), bytes);
    }
    let offline = get(&world.offline().await, path).await;
    assert!(offline.starts_with("502 a.b/c@v1.0.0 in gonda's module store is damaged: "), "{offline}");
    assert!(!offline.contains(&*world.store().to_string_lossy()), "{offline}");
    // A well-formed zip with another content is found by its sum.
    write(world.store().join(path), zip(&[("a.b/c@v1.0.0/go.mod", "module a.b/evil\n")]));
    assert!(get(&world.offline().await, path).await.contains("its sum is h1:"));

    let proxy = world.serve(&world.file_url()).await;
    assert_eq!(get(&proxy, path).await, whole);
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.mod").await.starts_with("200 module a.b/c"));
    assert!(get(&proxy, "a.b/c/@v/v1.0.0.info").await.starts_with("200 {"));
    assert!(proxy.record().modules["a.b/c@v1.0.0"].fetched);
    // Without a sum, as another tool may have left it, a sound zip is taken and gets one.
    let sum = world.store().join("a.b/c/@v/v1.0.0.ziphash");
    std::fs::remove_file(&sum).unwrap();
    assert_eq!(get(&world.offline().await, path).await, whole);
    assert!(sum.is_file());
}

#[tokio::test]
async fn lying_upstreams() {
    let check = async |path: &str, bytes: Vec<u8>, expected: &str| {
        let world = World::new();
        write(world.up().join(path), bytes);
        let answer = get(&world.serve(&world.file_url()).await, path).await;
        assert_eq!(answer, format!("502 {expected}"));
        assert!(!world.store().join(path).exists());
    };
    let zip_path = "a.b/c/@v/v1.0.0.zip";
    let not_a_zip = "a.b/c@v1.0.0: the proxy's zip is not a module zip:";
    let invalid = "invalid response from proxy to";
    check(
        zip_path,
        zip(&[("x/go.mod", "")]),
        &format!("{not_a_zip} x/go.mod: path does not have prefix \"a.b/c@v1.0.0/\""),
    )
    .await;
    check(
        zip_path,
        zip(&[("a.b/c@v1.0.0/x", ""), ("a.b/c@v1.0.0/X", "")]),
        &format!("{not_a_zip} a.b/c@v1.0.0/X: case-insensitive file name collision: \"x\" and \"X\""),
    )
    .await;
    check(
        zip_path,
        zip(&[("a.b/c@v1.0.0/../x", "")]),
        &format!("{not_a_zip} a.b/c@v1.0.0/../x: malformed file path \"../x\": invalid path element \"..\""),
    )
    .await;
    check(
        "a.b/c/@v/v1.0.0.info",
        b"{\"Version\":\"v1.0.1\"}".to_vec(),
        &format!("{invalid} a.b/c/@v/v1.0.0.info: proxy returned info for version v1.0.1 instead of requested version"),
    )
    .await;
    check(
        "a.b/c/@v/v1.0.0.mod",
        b"<!DOCTYPE html>\n\"".to_vec(),
        &format!("{invalid} a.b/c/@v/v1.0.0.mod: 2:1: unexpected EOF in string"),
    )
    .await;
    check("a.b/c/@latest", b"{}".to_vec(), &format!("{invalid} a.b/c/@latest: there is no `Version`")).await;
}

#[tokio::test]
async fn zips_hold_what_they_declare() {
    // The declared size of the only file is made one less, in both headers; the content stays.
    let mut bytes = zip(&[("a.b/c@v1.0.0/x", "0123456789")]);
    let size = 10_u32.to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == size).collect();
    for at in places {
        bytes[at] = 9;
    }
    let world = World::new();
    let path = "a.b/c/@v/v1.0.0.zip";
    write(world.up().join(path), bytes);
    let answer = get(&world.serve(&world.file_url()).await, path).await;
    assert!(answer.starts_with("502 "), "{answer}");
}

#[tokio::test]
async fn checksum_database() {
    let world = World::new();
    let proxy = world.serve(&world.file_url()).await;
    assert_eq!(
        get(&proxy, "sumdb/sum.x.y/supported").await,
        "404 checksum database sum.x.y: no proxy passes requests on to it"
    );
    let upstream = Fake::new(|path, _| match path {
        "/sumdb/sum.x.y/supported" => (200, Vec::new()),
        "/sumdb/sum.x.y/lookup/a.b/!c@v1.0.0" => (200, b"42\na.b/C v1.0.0 h1:x=\n".to_vec()),
        "/sumdb/sum.x.y/latest" => (200, b"go.sum database tree".to_vec()),
        _ => (404, b"not found: unknown".to_vec()),
    })
    .await;
    let proxy = world.serve(&format!("{},{}", world.file_url(), upstream.url)).await;
    let asked = [
        ("sumdb/sum.x.y/supported", "200 "),
        ("sumdb/sum.x.y/lookup/a.b/!c@v1.0.0", "200 42\na.b/C v1.0.0 h1:x="),
        ("sumdb/sum.x.y/latest", "200 go.sum database tree"),
    ];
    for (path, expected) in asked {
        assert_eq!(get(&proxy, path).await, expected);
    }
    let missing = get(&proxy, "sumdb/sum.x.y/lookup/a.b/none@v1.0.0").await;
    assert!(missing.starts_with("404 ") && missing.ends_with("not found: unknown"), "{missing}");
    drop(upstream);
    let offline = world.offline().await;
    for (path, expected) in asked {
        assert_eq!(get(&offline, path).await, expected);
    }
    assert!(get(&offline, "sumdb/sum.z/supported").await.starts_with("404 "));
}

#[tokio::test]
async fn answers_are_replayed() {
    let world = World::new();
    let answers = BTreeMap::from([("a.b/c/@v/list".to_owned(), "v0.9.0\n".to_owned())]);
    let answers = Some(answers);
    let proxy = serve(ProxySettings { answers, ..world.settings(&world.file_url()) }).await.unwrap();
    assert_eq!(get(&proxy, "a.b/c/@v/list").await, "200 v0.9.0");
    assert_eq!(proxy.record().answers["a.b/c/@v/list"], "v0.9.0\n");
    let other = get(&proxy, "a.b/c/@latest").await;
    assert!(other.starts_with("404 ") && other.contains("the lock has no answer"), "{other}");
}

#[tokio::test]
async fn stops_when_dropped() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = ModuleStore::open(world.settings("off")).unwrap().proxy_at(address, crate::modules::Beside::default());
    proxy.answer_on(listener).unwrap();
    assert_eq!(proxy.url(), format!("http://{address}"));
    get(&proxy, "a.b/c/@v/list").await;
    drop(proxy);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        if std::net::TcpStream::connect(address).is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it still listens");
}
