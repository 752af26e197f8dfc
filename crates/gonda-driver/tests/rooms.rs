//! Rooms as scripts meet them, with namespaces where the machine has them and without everywhere.
//!
//! gonda sets a room up by starting itself again, so this test has a `main` of its own and starts itself. Each test
//! runs in each mode that the machine has; which ones it has is printed, never passed over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
#[path = "support/output.rs"]
mod support;

#[cfg(not(unix))]
fn main() {
    println!("rooms: skipped, the scripts of this test are for a unix shell");
}

#[cfg(unix)]
fn main() {
    if let Some(code) = gonda_driver::started_inside(std::env::args_os()) {
        #[allow(clippy::disallowed_methods, reason = "a test binary without a harness")]
        std::process::exit(i32::from(code));
    }
    if std::env::args().nth(1).as_deref() == Some(unix::VICTIM) {
        unix::victim();
    } else {
        unix::main();
    }
}

#[cfg(unix)]
mod unix {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use gonda_driver::files::remove_all;
    use gonda_driver::isolation::{
        BuildEnv, Format, GoCache, Isolation, Link, Mode, Modules, Reach, Room, RoomSpec, SERVICE, Serve, Upper, probe,
    };
    use gonda_driver::process::{Command, Exit};
    use gonda_driver::script::{self, ActivatedEnv, Job, Settings};
    use gonda_driver::{Events, Result};
    use gonda_recipe::{RecipeFormat, ScriptVariable};

    use crate::support;

    type Test = (&'static str, fn(&World));

    const TESTS: &[Test] = &[
        ("paths are as promised", paths_are_as_promised),
        ("a script can't hurt what is shared", a_script_cant_hurt_what_is_shared),
        ("a fresh job sees what is shared", a_fresh_job_sees_what_is_shared),
        ("results are on disk", results_are_on_disk),
        ("exit codes, signals and orphans", exit_codes_signals_and_orphans),
        ("cancelling ends everything", cancelling_ends_everything),
        ("the modules are fenced", the_modules_are_fenced),
        ("a go cache is kept from scripts", a_go_cache_is_kept_from_scripts),
        ("several commands in one room", several_commands_in_one_room),
        ("a work folder moves on", a_work_folder_moves_on),
        ("odd names", odd_names),
        ("a missing program", a_missing_program),
        ("the machine is hidden", the_machine_is_hidden),
        ("a wild script is limited", a_wild_script_is_limited),
        ("gonda is at hand", gonda_is_at_hand),
        ("programs of another format", programs_of_another_format),
        ("the network holds one thing", the_network_holds_one_thing),
        ("scripts in their environment", scripts_in_their_environment),
        ("a killed gonda leaves nothing", a_killed_gonda_leaves_nothing),
    ];

    /// A cache's work folder, a shared environment and shared modules, in one mode.
    struct World {
        folder: tempfile::TempDir,
        mode: Mode,
        runtime: tokio::runtime::Runtime,
    }

    pub(super) fn main() {
        let filter: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut modes = vec![Mode::Plain];
        let trial = tempfile::tempdir().unwrap();
        match runtime().block_on(probe(trial.path())).unwrap() {
            Ok(mode) => {
                println!("namespaces: {mode:?}");
                modes.push(mode);
                if mode.shares_modules() {
                    modes.push(Mode::Mounts { upper: Upper::Memory });
                }
                let resolved = runtime().block_on(Isolation::Strict.resolve(trial.path(), &Events::silent()));
                assert_eq!(resolved.unwrap(), mode);
            }
            Err(reason) => {
                println!("namespaces: none, because {reason}; only the tests without them run");
                let resolved = runtime().block_on(Isolation::Strict.resolve(trial.path(), &Events::silent()));
                assert_eq!(resolved.unwrap_err().kind.exit_code(), 5);
            }
        }
        drop(trial);
        let env = runtime().block_on(Isolation::Env.resolve(Path::new("/nonexistent"), &Events::silent()));
        assert_eq!(env.unwrap(), Mode::Plain);
        refusal_below_a_repository();
        for mode in modes {
            for (name, test) in TESTS {
                if !filter.is_empty() && !filter.iter().any(|word| name.contains(word.as_str())) {
                    continue;
                }
                let start = Instant::now();
                let world = World::new(mode, runtime());
                test(&world);
                println!("{mode:?}: {name}: ok, {:?}", start.elapsed());
                world.close();
            }
        }
    }

    impl World {
        fn new(mode: Mode, runtime: tokio::runtime::Runtime) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let world = Self { folder, mode, runtime };
            write(&world.shared_env().join("bin/tool"), "#!/bin/sh\necho shared tool\n");
            std::fs::set_permissions(world.shared_env().join("bin/tool"), PermissionsExt::from_mode(0o755)).unwrap();
            write(&world.shared_env().join("share/doc/a"), "a");
            let module = world.shared_modules().join("gopath/pkg/mod/example.org/m@v1.0.0");
            write(&module.join("m.go"), "package m\n");
            std::fs::set_permissions(module.join("m.go"), PermissionsExt::from_mode(0o444)).unwrap();

            world
        }

        fn shared_env(&self) -> PathBuf {
            self.folder.path().join("envs/x")
        }

        fn shared_modules(&self) -> PathBuf {
            self.folder.path().join("gomod/sets/x")
        }

        fn spec(&self, name: &str) -> RoomSpec {
            let mut spec = RoomSpec::new(self.folder.path().join("work").join(name));
            if self.mode.has_fixed_paths() {
                spec.build_env = BuildEnv::Shared(self.shared_env());
            }
            spec.modules =
                if self.mode.shares_modules() { Modules::Shared(self.shared_modules()) } else { Modules::Empty };
            spec
        }

        /// A room with the environment in it.
        fn room(&self, name: &str) -> Room {
            let room = Room::prepare(self.spec(name), self.mode).unwrap();
            if !self.mode.has_fixed_paths() {
                copy(&self.shared_env(), &room.disk().build_prefix);
            }
            room
        }

        fn try_run(&self, room: &Room, script: &str) -> Result<(Exit, String)> {
            let paths = room.paths();
            let shown = |path: &Path| path.display().to_string();
            let command = Command::new("/bin/sh", &paths.src_dir).args(["-euc", script]).env([
                ("PATH", format!("{}/bin:/usr/bin:/bin", shown(&paths.build_prefix))),
                ("BUILD_PREFIX", shown(&paths.build_prefix)),
                ("PREFIX", shown(&paths.prefix)),
                ("SRC_DIR", shown(&paths.src_dir)),
                ("GOPATH", shown(&paths.src_dir.join("gopath"))),
                ("GOCACHE", shown(&paths.go_cache)),
                ("HOME", shown(&paths.home)),
                ("TMPDIR", shown(&paths.tmp)),
                ("RECIPE_DIR", shown(&paths.recipe_dir)),
            ]);
            let mut output = String::new();
            let exit = self.runtime.block_on(room.run(
                command,
                &Reach::Everything,
                |line| {
                    output.push_str(line);
                    output.push('\n');
                },
                None,
            ))?;
            Ok((exit, output))
        }

        /// Runs a script that must succeed.
        fn run(&self, room: &Room, script: &str) -> String {
            let (exit, output) = self.try_run(room, script).unwrap();
            assert!(exit.success(), "{:?}: {script}: {}\n{output}", self.mode, exit.describe());
            output
        }

        fn close(self) {
            let left: Vec<_> = std::fs::read_dir(self.folder.path().join("work"))
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            assert!(left.is_empty(), "rooms are left behind: {left:?}");
            remove_all(self.folder.path()).unwrap();
        }
    }

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    fn a_go_cache_is_kept_from_scripts(world: &World) {
        let layer = world.folder.path().join("gocache/layer");
        write(&layer.join("00/x-d"), "compiled");
        let mut room = world.room("job");
        assert_eq!(world.run(&room, "ls -A $GOCACHE"), "");
        room.set_go_cache(GoCache::Layer(layer.clone())).unwrap();
        let hostile = "cat $GOCACHE/00/x-d; echo; date +%s; cat $GOCACHE/trim.txt; echo; echo evil > $GOCACHE/00/x-d; \
                       echo more > $GOCACHE/00/y-d; cat $GOCACHE/00/x-d; rm -r $GOCACHE/00";
        let said = world.run(&room, hostile);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((lines[0], lines[3]), ("compiled", "evil"), "{said}");
        let [now, trimmed] = [lines[1], lines[2]].map(|line| line.parse::<i64>().unwrap());
        assert!((0..60).contains(&(now - trimmed)), "{said}");
        room.close().unwrap();
        assert_eq!(std::fs::read_to_string(layer.join("00/x-d")).unwrap(), "compiled");
        assert_eq!(std::fs::read_dir(layer.join("00")).unwrap().count(), 1);

        let shared = world.folder.path().join("gocache/shared");
        let mut spec = world.spec("job");
        spec.go_cache = GoCache::Shared(shared.clone());
        let room = Room::prepare(spec, world.mode).unwrap();
        world.run(&room, "echo kept > $GOCACHE/z");
        room.close().unwrap();
        assert_eq!(std::fs::read_to_string(shared.join("z")).unwrap(), "kept\n");
    }

    fn paths_are_as_promised(world: &World) {
        let room = world.room("job");
        let paths = room.paths().clone();
        assert_eq!(paths.prefix.as_os_str().len(), 255);
        assert_eq!(paths.fixed, world.mode.has_fixed_paths());
        if paths.fixed {
            assert_eq!(paths.build_prefix, Path::new("/opt/gonda/b/build_env"));
            assert_eq!(paths.src_dir, Path::new("/opt/gonda/b/work"));
        }
        write(&room.disk().recipe_dir.join("build.sh"), "true\n");
        let script = "pwd; test -d $PREFIX; test ! -e $PREFIX/bin; test ! -e $PREFIX/lib
            test -f $RECIPE_DIR/build.sh; mkdir $RECIPE_DIR/licences; mkdir $PREFIX/bin
            test -w $HOME; test -w $TMPDIR; echo x > /tmp/gonda-test-$$; rm /tmp/gonda-test-$$
            umask; tool";
        let output = world.run(&room, script);
        assert!(output.starts_with(&format!("{}\n", paths.src_dir.display())), "{output}");
        assert!(output.ends_with("shared tool\n"), "{output}");
        let config = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
        let mode = room.disk().home.join(config).join("go/telemetry/mode");
        assert_eq!(std::fs::read_to_string(mode).unwrap().trim(), "off");
    }

    /// What real scripts do to their build environment and module cache.
    const HARM: &str = "
        chmod -R u+w $GOPATH $BUILD_PREFIX
        echo changed > $BUILD_PREFIX/bin/tool; echo new > $BUILD_PREFIX/bin/new
        rm -r $BUILD_PREFIX/share; mkdir $BUILD_PREFIX/share; echo b > $BUILD_PREFIX/share/b
        mv $BUILD_PREFIX/bin $BUILD_PREFIX/nib
        mkdir -p $GOPATH/pkg/mod/example.org/n@v1; echo x > $GOPATH/pkg/mod/example.org/n@v1/n.go
        chmod -R a-w $GOPATH/pkg/mod
        chmod -R u+w $GOPATH; rm -rf $GOPATH; test ! -e $GOPATH; mkdir $GOPATH; echo mine > $GOPATH/mine";

    fn a_script_cant_hurt_what_is_shared(world: &World) {
        let room = world.room("job");
        world.run(&room, HARM);
        assert_eq!(
            std::fs::read_to_string(world.shared_env().join("bin/tool")).unwrap(),
            "#!/bin/sh\necho shared tool\n"
        );
        assert!(!world.shared_env().join("bin/new").exists());
        assert!(world.shared_env().join("share/doc/a").exists());
        let module = world.shared_modules().join("gopath/pkg/mod/example.org/m@v1.0.0/m.go");
        assert_eq!(module.metadata().unwrap().permissions().mode() & 0o777, 0o444);
        room.close().unwrap();
    }

    fn a_fresh_job_sees_what_is_shared(world: &World) {
        let first = world.room("first");
        world.run(&first, HARM);
        let second = world.room("second");
        let output = world.run(&second, "tool; ls $BUILD_PREFIX/share; ls $GOPATH");
        assert_eq!(output, "shared tool\ndoc\npkg\n");
        if world.mode.shares_modules() {
            world.run(&second, "test -f $GOPATH/pkg/mod/example.org/m@v1.0.0/m.go");
        }
    }

    fn results_are_on_disk(world: &World) {
        let room = world.room("job");
        write(&room.disk().src_dir.join("src/main.go"), "package main\n");
        world.run(
            &room,
            "mkdir -p $PREFIX/bin; cp src/main.go $PREFIX/bin/x; ln -s x $PREFIX/bin/y; echo l > LICENSE
             chmod 555 $PREFIX/bin; mkdir -p $GOPATH/pkg/mod/a; chmod 555 $GOPATH/pkg/mod/a",
        );
        assert_eq!(std::fs::read_to_string(room.disk().prefix.join("bin/x")).unwrap(), "package main\n");
        assert_eq!(std::fs::read_link(room.disk().prefix.join("bin/y")).unwrap(), Path::new("x"));
        assert_eq!(std::fs::read_to_string(room.disk().src_dir.join("LICENSE")).unwrap(), "l\n");
        let dir = room.disk().dir.clone();
        room.close().unwrap();
        assert!(!dir.exists());
    }

    fn exit_codes_signals_and_orphans(world: &World) {
        let room = world.room("job");
        let (exit, _) = world.try_run(&room, "exit 42").unwrap();
        assert_eq!((exit.code, exit.signal), (Some(42), None));
        let (exit, _) = world.try_run(&room, "kill -KILL $$").unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
        let (exit, _) = world.try_run(&room, "exit 137").unwrap();
        assert_eq!((exit.code, exit.signal), (Some(137), None));
        let start = Instant::now();
        world.run(&room, "(sleep 60 & sleep 60 &) ; sleep 60 & (true &) ; echo done");
        assert!(start.elapsed() < Duration::from_secs(30));
        // More output than a pipe holds.
        let output = world.run(&room, "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done");
        assert_eq!(output.lines().count(), 20_000);
    }

    fn cancelling_ends_everything(world: &World) {
        let room = world.room("job");
        let script = "(while true; do echo x >> beat; sleep 0.05; done) & setsid sh -c 'sleep 1; touch late' & wait";
        let script = script.replace("setsid", if world.mode == Mode::Plain { "exec" } else { "setsid" });
        let command = Command::new("/bin/sh", &room.paths().src_dir)
            .args(["-c".to_owned(), script])
            .env([("PATH", "/usr/bin:/bin")]);
        let beat = room.disk().src_dir.join("beat");
        world.runtime.block_on(async {
            let limited =
                tokio::time::timeout(Duration::from_millis(500), room.run(command, &Reach::Everything, |_| {}, None))
                    .await;
            assert!(limited.is_err());
            tokio::time::sleep(Duration::from_millis(300)).await;
            let then = std::fs::metadata(&beat).unwrap().len();
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert_eq!(std::fs::metadata(&beat).unwrap().len(), then);
        });
        assert!(!room.disk().src_dir.join("late").exists());
    }

    fn the_modules_are_fenced(world: &World) {
        let room = world.room("job");
        let output = world.run(&room, "cat gopath/pkg/go.mod; test -d gopath/pkg/mod; ls");
        assert_eq!(output, "module gonda.invalid/modcache\ngopath\n");
        let mut spec = world.spec("other");
        spec.modules = Modules::None;
        let room = Room::prepare(spec, world.mode).unwrap();
        assert_eq!(world.run(&room, "ls"), "");
    }

    fn several_commands_in_one_room(world: &World) {
        let room = world.room("job");
        world.run(&room, "echo 1 > $PREFIX/a; echo 1 > $BUILD_PREFIX/a; echo 1 > a; rm -rf $GOPATH");
        world.run(&room, "cat $PREFIX/a a; rm $BUILD_PREFIX/bin/tool; test ! -e $GOPATH");
        // A layer in memory lives as long as a command.
        let again =
            if world.mode == (Mode::Mounts { upper: Upper::Memory }) { "tool" } else { "cat $BUILD_PREFIX/a; ! tool" };
        world.run(&room, again);
    }

    /// The outputs of one recipe share a work folder, each in a room of its own.
    fn a_work_folder_moves_on(world: &World) {
        let first = world.room("first");
        world.run(&first, "echo 1 > a; rm -rf $GOPATH");
        let second = world.room("second");
        remove_all(&second.disk().src_dir).unwrap();
        std::fs::rename(&first.disk().src_dir, &second.disk().src_dir).unwrap();
        first.close().unwrap();
        world.run(
            &second,
            "cat a; test -d $GOPATH/pkg/mod; test -f $GOPATH/pkg/go.mod; rm -rf $GOPATH/pkg; mkdir $GOPATH/pkg",
        );
        let third = world.room("third");
        remove_all(&third.disk().src_dir).unwrap();
        std::fs::rename(&second.disk().src_dir, &third.disk().src_dir).unwrap();
        second.close().unwrap();
        world.run(&third, "cat a; test -f $GOPATH/pkg/go.mod; test -d $GOPATH/pkg/mod");
    }

    fn gonda_is_at_hand(world: &World) {
        let mut spec = world.spec("job");
        spec.own = true;
        if world.mode.has_fixed_paths() {
            let seen = "/opt/gonda/b/build_env/bin/tool".into();
            spec.links.push(Link { seen, target: "/opt/gonda/b/own/gonda".into() });
        }
        let room = Room::prepare(spec, world.mode).unwrap();
        let own = room.paths().own.clone().unwrap();
        std::fs::write(room.disk().own.join("settings"), "x").unwrap();
        let script = "test -x gonda; cat settings; echo y > record";
        let script = format!("cd '{}'; {}", own.display(), script);
        for _ in 0..2 {
            assert_eq!(world.run(&room, &script), "x\n");
        }
        assert_eq!(std::fs::read_to_string(room.disk().own.join("record")).unwrap(), "y\n");
        if world.mode.has_fixed_paths() {
            world.run(&room, "! echo x > /opt/gonda/b/own/gonda");
            let shown = world.run(&room, "readlink $BUILD_PREFIX/bin/tool; test -x $BUILD_PREFIX/bin/tool");
            assert_eq!(shown.trim(), "/opt/gonda/b/own/gonda");
            assert!(world.shared_env().join("bin/tool").symlink_metadata().unwrap().is_file());
        }
    }

    fn programs_of_another_format(world: &World) {
        if !world.mode.has_fixed_paths() {
            return;
        }
        let mut spec = world.spec("job");
        spec.formats.push(Format {
            name: "gonda-test".to_owned(),
            magic: b"GONDA\0TEST".to_vec(),
            mask: b"\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff".to_vec(),
            interpreter: "/bin/echo".into(),
        });
        let room = Room::prepare(spec, world.mode).unwrap();
        let script = "printf 'GONDA1TEST' > prog; printf 'GONDA1BEST' > other; chmod +x prog other; ./prog a 'b  c'
            if ./other; then exit 1; fi 2> /dev/null";
        match world.try_run(&room, script).unwrap() {
            (exit, output) if exit.success() => {
                assert_eq!(output, "./prog ./prog a b  c\n");
            }
            // Namespaces have formats of their own since Linux 6.7.
            (_, output) => {
                println!("programs of another format: skipped, the kernel has none for a namespace: {output}")
            }
        }
    }

    fn odd_names(world: &World) {
        let mut spec = world.spec("a, b:c\\d é");
        spec.modules = Modules::Empty;
        let room = Room::prepare(spec, world.mode).unwrap();
        world.run(&room, "echo x > $PREFIX/x; test -f $PREFIX/x 2>/dev/null || test -f \"$PREFIX/x\" || true");
    }

    fn a_missing_program(world: &World) {
        let room = world.room("job");
        let command = Command::new("/nonexistent/program", &room.paths().src_dir);
        let error = world.runtime.block_on(room.run(command, &Reach::Everything, |_| {}, None)).unwrap_err();
        assert!(error.to_string().starts_with("`/nonexistent/program` can't be started in `"), "{error}");
    }

    fn the_machine_is_hidden(world: &World) {
        if world.mode == Mode::Plain {
            return;
        }
        let room = world.room("job");
        let hidden = world.folder.path().join("secret");
        write(&hidden, "x");
        let script = format!(
            "test ! -e {}; test ! -e {}; ls /; id -u; id -un; test $(ls -d /proc/[0-9]* | wc -l) -lt 10
             ! touch /usr/x 2>/dev/null; ! touch /etc/x 2>/dev/null; ! umount /proc 2>/dev/null; hostname || uname -n",
            hidden.display(),
            room.disk().dir.display(),
        );
        let output = world.run(&room, &script);
        assert!(output.contains("\n1000\ngonda\n"), "{output}");
        assert!(output.ends_with("gonda\n"), "{output}");
    }

    fn a_wild_script_is_limited(world: &World) {
        if world.mode == Mode::Plain {
            return;
        }
        let room = world.room("job");
        let output = world.run(&room, "ulimit -c; cat /proc/self/oom_score_adj; ulimit -u 2>/dev/null || echo 1");
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[..2], ["0", "500"], "{output}");
        assert!(lines[2].parse::<u64>().is_ok_and(|most| most <= 16_384), "{output}");
        // What forks on and on, here for 200 times, ends with its room.
        let script =
            "f() { [ $1 -gt 200 ] || { (while :; do echo x >> beat; sleep 0.2; done) & f $(($1 + 1)); }; }; f 1; wait";
        let command =
            Command::new("/bin/sh", &room.paths().src_dir).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
        let beat = room.disk().src_dir.join("beat");
        world.runtime.block_on(async {
            let run = room.run(command, &Reach::Loopback(None), |_| {}, None);
            assert!(tokio::time::timeout(Duration::from_millis(1500), run).await.is_err());
            tokio::time::sleep(Duration::from_millis(300)).await;
            let then = std::fs::metadata(&beat).unwrap().len();
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(std::fs::metadata(&beat).unwrap().len(), then);
        });
    }

    fn the_network_holds_one_thing(world: &World) {
        if world.mode == Mode::Plain {
            return;
        }
        let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let serve: Serve = Arc::new(|listener| {
            std::thread::spawn(move || {
                // The room's last command is gone before the listener is.
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(b"from outside\n");
                }
            });
            Ok(())
        });
        let room = world.room("job");
        let run = |reach: &Reach, script: &str| {
            let mut output = String::new();
            let command =
                Command::new("/bin/bash", &room.paths().src_dir).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
            let on_line = |line: &str| output.push_str(line);
            let exit = world.runtime.block_on(room.run(command, reach, on_line, None)).unwrap();
            assert!(exit.success(), "{script}: {}\n{output}", exit.describe());
            output
        };
        let address = |address: std::net::SocketAddr| format!("/dev/tcp/{}/{}", address.ip(), address.port());
        let (service, outside) = (address(SERVICE), address(outside.local_addr().unwrap()));
        // Twice, for each command has a network of its own.
        for _ in 0..2 {
            let output = run(&Reach::Loopback(Some(serve.clone())), &format!("cat < {service}"));
            assert_eq!(output, "from outside");
        }
        let closed = format!("! (: < {outside}) 2>/dev/null && (: < /dev/tcp/192.0.2.1/80) 2>&1 | grep -q unreachable");
        run(&Reach::Loopback(Some(serve)), &closed);
        run(&Reach::Loopback(None), &format!("! (: < {service}) 2>/dev/null"));
        run(&Reach::Everything, &format!(": < {outside}"));
    }

    /// A v0 and a v1 script with activation, as the driver prepares them, really run.
    fn scripts_in_their_environment(world: &World) {
        for format in [RecipeFormat::V0, RecipeFormat::V1] {
            let room = world.room("job");
            let build = room.paths().build_prefix.clone();
            let lines = support::lines(&[
                "echo $PREFIX; echo $GOOS/$GOARCH $CGO_ENABLED $GOFLAGS; echo $CONDA_PREFIX; tool",
                "mkdir $PREFIX/bin; cp $BUILD_PREFIX/bin/tool $PREFIX/bin/mine; mine",
                "echo $ACTIVATED $GIVEN; cd $SRC_DIR; false; echo not reached",
            ]);
            let mut output = support::output(format, vec![lines]);
            output.build.script_env = vec![
                ScriptVariable::Set("GOFLAGS".to_owned(), "-mod=vendor".to_owned()),
                ScriptVariable::Set("GIVEN".to_owned(), "given".to_owned()),
            ];
            let scripts = room.disk().src_dir.join("activate.d");
            write(&scripts.join("a.sh"), "export ACTIVATED=\"yes $GIVEN\" GOFLAGS=-trimpath\n");
            let activated = [
                ActivatedEnv { prefix: room.paths().prefix.clone(), ..ActivatedEnv::default() },
                ActivatedEnv {
                    prefix: build.clone(),
                    variables: [("CGO_ENABLED".to_owned(), "0".to_owned())].into_iter().collect(),
                    scripts: vec![room.paths().src_dir.join("activate.d/a.sh").display().to_string()],
                },
            ];
            let prepared = script::prepare(&Job {
                output: &output,
                paths: room.paths(),
                recipe_dir: Path::new("/nonexistent"),
                activated: &activated,
                settings: &Settings::default(),
                render: &|text, _| Ok(text.to_owned()),
            });
            let prepared = prepared.unwrap().remove(0);
            prepared.write(&room.disk().src_dir).unwrap();
            let mut out = String::new();
            let on_line = |line: &str| {
                if !line.starts_with('+') {
                    out.push_str(line);
                    out.push('\n');
                }
            };
            let exit = world
                .runtime
                .block_on(room.run(prepared.command(room.paths()), &Reach::Everything, on_line, None))
                .unwrap();
            let expected = format!(
                "{}\nlinux/amd64 0 -trimpath\n{}\nshared tool\nshared tool\nyes given given\n",
                room.paths().prefix.display(),
                build.display()
            );
            assert_eq!(out, expected, "{format:?}");
            assert_eq!(exit.code, Some(1));
        }
    }

    pub(super) const VICTIM: &str = "run-until-killed";

    /// Runs a script in a room until somebody kills this process.
    pub(super) fn victim() {
        let args: Vec<String> = std::env::args().collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let room = Room::prepare(RoomSpec::new(&args[2]), Mode::Mounts { upper: Upper::Disk }).unwrap();
        let script = "while true; do echo x >> beat; sleep 0.05; done";
        let command =
            Command::new("/bin/sh", &room.paths().src_dir).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
        let _ = runtime.block_on(room.run(command, &Reach::Everything, |_| {}, None));
    }

    fn a_killed_gonda_leaves_nothing(world: &World) {
        if world.mode == Mode::Plain {
            // Without namespaces a script isn't told that gonda is gone; its room is nobody else's.
            return;
        }
        let dir = world.folder.path().join("work/victim");
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args([VICTIM, dir.to_str().unwrap()])
            .spawn()
            .unwrap();
        let beat = dir.join("work/beat");
        let length = || std::fs::metadata(&beat).map_or(0, |meta| meta.len());
        let start = Instant::now();
        while length() == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "the script did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let then = length();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(length(), then, "the script outlives gonda");
        remove_all(&dir).unwrap();
    }

    fn refusal_below_a_repository() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let error = Room::prepare(RoomSpec::new(folder.path().join("cache/work/job")), Mode::Plain).unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
        assert!(error.to_string().contains("lies below the git repository"), "{error}");
        assert!(!folder.path().join("cache").exists());
        println!("refusal below a repository: ok");
    }
}
