//! An origin of input pictures on loopback that misbehaves on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How a path is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this content type and body.
    Body(&'static str, Vec<u8>),
    /// This status with an empty body.
    Status(u16),
    /// 302 to this location.
    Redirect(String),
    /// Claims this content length and sends this body.
    Claims(u64, Vec<u8>),
    /// Headers, then a byte every 100 ms for a minute at most.
    Drip,
    /// Bytes without end; stops when the client does, or after 4 GiB.
    Endless,
    /// Takes the request and is silent for a minute at most.
    Silent,
    /// 200 with this content type and body, but not before the gate is open.
    Behind(Gate, &'static str, Vec<u8>),
    /// This status line, header lines and body.
    Headed(&'static str, &'static str, Vec<u8>),
    /// 200 with this content type and the first body to who asks first, with the second to all others.
    Then(&'static str, Vec<u8>, Vec<u8>),
    /// Silent to who asks first, 200 with this content type and body to all others.
    SilentOnce(&'static str, Vec<u8>),
}

/// Holds answers back, for a minute at most.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets all through, now and later.
    ///
    /// # Panics
    /// When a thread that waited panicked.
    pub fn open(&self) {
        *self.0.0.lock().expect("no thread panicked") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().expect("no thread panicked");
        let waited = self.0.1.wait_timeout_while(open, Duration::from_secs(60), |open| !*open);
        drop(waited.expect("no thread panicked"));
    }
}

/// A running origin; it ends with the test.
pub struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<HashMap<String, usize>>>,
}

impl Origin {
    /// Starts one that answers these paths, and 404 to any other.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(answers: impl IntoIterator<Item = (impl Into<String>, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers: HashMap<String, Answer> = answers.into_iter().map(|(path, a)| (path.into(), a)).collect();
        let answers = Arc::new(answers);
        let requests: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counts = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, counts) = (answers.clone(), counts.clone());
                // The client may leave at any moment: that is what many tests are about.
                std::thread::spawn(move || serve(stream, &answers, &counts).ok());
            }
        });
        Origin { address, requests }
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// That URL as the value of a query parameter.
    pub fn input(&self, path: &str) -> String {
        self.url(path).replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('&', "%26")
    }

    /// How often a path was asked for.
    ///
    /// # Panics
    /// When a serving thread panicked.
    pub fn requests(&self, path: &str) -> usize {
        self.requests.lock().expect("no thread panicked").get(path).copied().unwrap_or(0)
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &HashMap<String, Answer>,
    counts: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let first = {
        let mut counts = counts.lock().expect("no thread panicked");
        let count = counts.entry(path.clone()).or_default();
        *count += 1;
        *count == 1
    };
    let head = |status: &str, rest: String| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{rest}\r\n");
    let answer = answers.get(&path).cloned().unwrap_or(Answer::Status(404));
    if let Answer::Behind(gate, ..) = &answer {
        gate.wait();
    }
    match answer {
        Answer::SilentOnce(..) if first => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Answer::Body(kind, body) | Answer::Behind(_, kind, body) | Answer::SilentOnce(kind, body) => {
            stream.write_all(
                head("200 OK", format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())).as_bytes(),
            )?;
            stream.write_all(&body)
        }
        Answer::Headed(status, lines, body) => {
            stream.write_all(head(status, format!("{lines}Content-Length: {}\r\n", body.len())).as_bytes())?;
            stream.write_all(&body)
        }
        Answer::Then(kind, one, other) => {
            let body = if first { one } else { other };
            stream.write_all(
                head("200 OK", format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())).as_bytes(),
            )?;
            stream.write_all(&body)
        }
        Answer::Status(code) => {
            stream.write_all(head(&format!("{code} No"), "Content-Length: 0\r\n".into()).as_bytes())
        }
        Answer::Redirect(to) => {
            stream.write_all(head("302 Found", format!("Location: {to}\r\nContent-Length: 0\r\n")).as_bytes())
        }
        Answer::Claims(length, body) => {
            let rest = format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\n");
            stream.write_all(head("200 OK", rest).as_bytes())?;
            stream.write_all(&body)
        }
        Answer::Drip => {
            stream.write_all(
                head("200 OK", "Content-Type: image/jpeg\r\nContent-Length: 100000\r\n".into()).as_bytes(),
            )?;
            stream.write_all(&[0xff, 0xd8, 0xff])?;
            for _ in 0..600 {
                stream.write_all(&[0])?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        Answer::Endless => {
            stream.write_all(head("200 OK", "Content-Type: image/jpeg\r\n".into()).as_bytes())?;
            stream.write_all(&[0xff, 0xd8, 0xff])?;
            let block = vec![0u8; 1 << 20];
            for _ in 0..4096 {
                stream.write_all(&block)?;
            }
            Ok(())
        }
        Answer::Silent => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
    }
}
