//! A file server on loopback, for channels and sources behind `http://`, and for what servers do wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The file, or 404.
    File,
    /// Promises the whole file and hangs up after so many bytes of it.
    CutAfter(usize),
    /// This status and nothing else.
    Status(u16),
    /// Takes the request and hangs up.
    HangUp,
}

type Rule = dyn Fn(&str) -> Reply + Send + Sync;

/// Serves a folder until it is dropped.
pub struct FileServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FileServer {
    /// Serves every file below `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::with_rule(folder, |_| Reply::File)
    }

    /// Serves `folder`; `rule` decides for each request's path (`/linux-64/repodata.json`) what happens.
    pub fn with_rule(folder: impl Into<PathBuf>, rule: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let folder = folder.into();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let rule: Arc<Rule> = Arc::new(rule);
        let (seen, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (folder, seen, rule) = (folder.clone(), Arc::clone(&seen), Arc::clone(&rule));
                // A client that goes away in mid-answer is no fault of the server.
                std::thread::spawn(move || drop(answer(&connection, &folder, &seen, &*rule)));
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `METHOD path` of each request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no thread panicked").clone()
    }
}

impl std::fmt::Debug for FileServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A last connection wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(stream: &TcpStream, folder: &Path, seen: &Mutex<Vec<String>>, rule: &Rule) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
        let (method, target) = (method.to_owned(), target.split('?').next().unwrap_or_default().to_owned());
        let mut range = None;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
                range = parse_range(value.trim());
            }
        }
        seen.lock().expect("no thread panicked").push(format!("{method} {target}"));
        match rule(&target) {
            Reply::HangUp => return Ok(()),
            Reply::Status(code) => head(&mut out, code, 0, "")?,
            reply => {
                let Some(content) = read_below(folder, &target) else {
                    head(&mut out, 404, 0, "")?;
                    continue;
                };
                let whole = content.len();
                let (code, part, extra) = match range {
                    Some((first, last)) if first < whole => {
                        let last = last.unwrap_or(whole - 1).min(whole - 1);
                        (206, &content[first..=last], format!("Content-Range: bytes {first}-{last}/{whole}\r\n"))
                    }
                    _ => (200, &content[..], String::new()),
                };
                head(&mut out, code, part.len(), &extra)?;
                if method != "HEAD" {
                    if let Reply::CutAfter(bytes) = reply {
                        out.write_all(&part[..bytes.min(part.len())])?;
                        return out.flush();
                    }
                    out.write_all(part)?;
                }
            }
        }
        out.flush()?;
    }
}

/// `first-` or `first-last`; open at the front is not asked for by the clients at hand.
fn parse_range(value: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = value.split_once('-')?;
    Some((first.parse().ok()?, if last.is_empty() { None } else { Some(last.parse().ok()?) }))
}

fn head(out: &mut impl Write, code: u16, length: usize, extra: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {code} -\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n{extra}\r\n")
}

fn read_below(folder: &Path, target: &str) -> Option<Vec<u8>> {
    let relative = target.trim_start_matches('/');
    if relative.split('/').any(|part| part == "..") {
        return None;
    }
    let path = folder.join(relative);
    path.is_file().then(|| fs_err::read(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn get(server: &FileServer, target: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn serves_and_misbehaves() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("a.txt"), "0123456789").unwrap();
        let server = FileServer::with_rule(folder.path(), |path| match path {
            "/cut/../a.txt" | "/gone" => Reply::Status(503),
            "/a.txt?" => Reply::File,
            _ => Reply::File,
        });
        assert!(get(&server, "/a.txt", "").ends_with("\r\n\r\n0123456789"));
        assert!(get(&server, "/a.txt", "Range: bytes=2-4\r\n").ends_with("bytes 2-4/10\r\n\r\n234"));
        assert!(get(&server, "/b.txt", "").starts_with("HTTP/1.1 404"));
        assert!(get(&server, "/gone", "").starts_with("HTTP/1.1 503"));
        assert_eq!(server.requests().len(), 4);
        let cut = FileServer::with_rule(folder.path(), |_| Reply::CutAfter(3));
        assert!(get(&cut, "/a.txt", "").ends_with("Content-Length: 10\r\nAccept-Ranges: bytes\r\n\r\n012"));
    }
}
