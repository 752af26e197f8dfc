//! A Go SDK without Go: its `go` says how it was called and writes a script as the program. For tests of what
//! happens around the compiler; unix only.

use std::path::{Path, PathBuf};

/// The folder of a fake SDK.
///
/// `go` prints `fake go: GOOS=… GOARCH=… CGO_ENABLED=… GOFLAGS=… args: …; GOPROXY=… GOVCS=…` to stderr, so that it lands in the job's log.
/// `go build … -o FILE` writes a shell script that prints its arguments; `go version` and `go env` answer.
#[derive(Debug, Clone)]
pub struct FakeGo {
    root: PathBuf,
}

impl FakeGo {
    /// Makes the SDK in `root`, as version `version` (`1.99.0`).
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, version: &str) -> Self {
        let root = root.into();
        for folder in ["bin", "pkg/tool", "src/fmt", "lib", "misc"] {
            fs_err::create_dir_all(root.join(folder)).expect("a folder of the SDK");
        }
        fs_err::write(root.join("VERSION"), format!("go{version}\ntime 2020-01-01T00:00:00Z\n")).expect("VERSION");
        fs_err::write(root.join("LICENSE"), "A licence for tests.\n").expect("LICENSE");
        fs_err::write(root.join("go.env"), "GOPROXY=off\nGOSUMDB=off\nGOTOOLCHAIN=auto\n").expect("go.env");
        fs_err::write(root.join("src/fmt/fmt.go"), "package fmt\n").expect("a source file");
        executable(&root.join("bin/go"), &SCRIPT.replace("@VERSION@", version));
        executable(&root.join("bin/gofmt"), "#!/bin/sh\nexec cat\n");
        Self { root }
    }

    /// The SDK's folder, for `gonda channel bootstrap --go-root`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

const SCRIPT: &str = r#"#!/bin/sh
echo "fake go: GOOS=$GOOS GOARCH=$GOARCH CGO_ENABLED=$CGO_ENABLED GOFLAGS=$GOFLAGS args: $*; GOPROXY=$GOPROXY GOVCS=$GOVCS" >&2
case "$1" in
  version) echo "go version go@VERSION@ ${GOOS:-linux}/${GOARCH:-amd64}"; exit 0 ;;
  env) shift
    for name; do
      case "$name" in GOVERSION) echo "go@VERSION@" ;; *) eval "echo \"\$$name\"" ;; esac
    done
    exit 0 ;;
  build|install) ;;
  *) exit 0 ;;
esac
out=
while [ $# -gt 0 ]; do
  case "$1" in
    -o) out=$2; shift ;;
    -o=*) out=${1#-o=} ;;
  esac
  shift
done
[ -n "$out" ] || out="$GOBIN/$PKG_NAME"
case "$out" in */) out="$out$PKG_NAME" ;; esac
mkdir -p "$(dirname "$out")"
printf '#!/bin/sh\necho "hello $*"\n' > "$out"
chmod 755 "$out"
"#;

fn executable(path: &Path, text: &str) {
    fs_err::write(path, text).expect("a program");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn writes_a_program_and_tells() {
        let folder = tempfile::tempdir().unwrap();
        let go = FakeGo::new(folder.path().join("go"), "1.99.0");
        let out = folder.path().join("bin/x");
        let run = std::process::Command::new(go.root().join("bin/go"))
            .args(["build", "-v", "-o"])
            .arg(&out)
            .arg(".")
            .env_clear()
            .env("GOOS", "plan9")
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        assert!(run.status.success());
        assert!(String::from_utf8_lossy(&run.stderr).contains("GOOS=plan9"));
        let said = std::process::Command::new(&out).arg("you").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "hello you\n");
    }
}
