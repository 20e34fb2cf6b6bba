//! A line to a service that can be cut, stalled, slowed and broken.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What the line does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Carries them.
    Up,
    /// Refuses new connections, and has ended the old ones.
    Cut,
    /// Takes connections and bytes, and delivers nothing until it is up again.
    Stalled,
    /// Delivers what it is given after this time.
    Slow(Duration),
    /// Ends each connection after so many bytes to the service.
    CutAfter(usize),
    /// Delivers other bytes than it is given.
    Garbled,
}

struct State {
    line: Line,
    /// Rises with each change, so that connections of before a cut end.
    cuts: usize,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

/// A proxy on loopback.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A line to a port of loopback.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            state: Mutex::new(State { line: Line::Up, cuts: 0 }),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.carry(&client));
            }
        });
        Proxy { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what it does.
    ///
    /// # Panics
    /// When a thread that carries panicked.
    pub fn set(&self, line: Line) {
        let mut state = self.shared.state();
        state.line = line;
        if line == Line::Cut {
            state.cuts += 1;
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    /// One connection.
    fn carry(self: &Arc<Self>, client: &TcpStream) {
        let cuts = self.state().cuts;
        if self.state().line == Line::Cut {
            return;
        }
        let Ok(server) = TcpStream::connect(self.target) else { return };
        let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
        let shared = Arc::clone(self);
        let up = std::thread::spawn(move || shared.pump(from, to, cuts, true));
        let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else { return };
        self.pump(from, to, cuts, false);
        // The direction to the service ends with it.
        let _ = client.shutdown(Shutdown::Both);
        let _ = up.join();
    }

    /// One direction of it.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, cuts: usize, to_service: bool) {
        let mut buffer = vec![0; 16 << 10];
        let mut sent = 0;
        // A cut must end a connection on which nobody says anything.
        let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    0
                }
                Err(_) => break,
            };
            let state = self.state();
            let state =
                self.changed.wait_while(state, |state| count > 0 && state.line == Line::Stalled && state.cuts == cuts);
            let (line, now) = {
                let state = state.expect("no thread panicked");
                (state.line, state.cuts)
            };
            if now != cuts {
                break;
            }
            let bytes = &mut buffer[..count];
            match line {
                Line::Slow(time) if count > 0 => std::thread::sleep(time),
                Line::Garbled => bytes.iter_mut().for_each(|byte| *byte = !*byte),
                _ => {}
            }
            let keep = match line {
                Line::CutAfter(limit) if to_service => limit.saturating_sub(sent).min(count),
                _ => count,
            };
            if to.write_all(&bytes[..keep]).is_err() || keep < count {
                break;
            }
            sent += keep;
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
