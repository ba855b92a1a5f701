//! Lines to a port of this machine that fail in the middle of what goes over them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

/// A line that is cut once so many bytes went to the port.
pub fn cut_after(port: u16, bytes: usize) -> u16 {
    line(port, bytes, |_| {})
}

/// A line that stands still once so many bytes went there, and says so; it is cut once nobody listens to that any more.
pub fn held_after(port: u16, bytes: usize) -> (u16, Receiver<()>) {
    let (reached, heard) = sync_channel(0);
    let hold = move |_: &TcpStream| while reached.send(()).is_ok() {};
    (line(port, bytes, hold), heard)
}

/// Carries one connection.
fn line(port: u16, bytes: usize, then: impl Fn(&TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (client, server) = (listener.accept().unwrap().0, TcpStream::connect(("127.0.0.1", port)).unwrap());
        let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
        let (mut from, mut to, mut left, mut buffer) = (client, server, bytes, [0; 4096]);
        while left > 0 {
            let Ok(count @ 1..) = from.read(&mut buffer) else { return };
            let count = count.min(left);
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
            left -= count;
        }
        then(&from);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
    own
}

/// What a line loses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// What goes there: the other side is never asked.
    Question,
    /// What comes back: the other side has done what it was asked, and nobody hears of it.
    Answer,
}

/// A line for any number of connections, each of which is cut instead of carrying what holds `word`. Only every `each`th such is lost.
pub fn losing(port: u16, lost: Lost, word: &'static [u8], each: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let counted = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let counted = counted.clone();
            let is_lost = move |bytes: &[u8]| {
                let holds = bytes.windows(word.len()).any(|part| part == word);
                holds && counted.fetch_add(1, Ordering::Relaxed) % each == each - 1
            };
            let (there, back) = ((client.try_clone(), server.try_clone()), (server, client));
            let ((Ok(from), Ok(to)), is_question_lost) = (there, is_lost.clone()) else { continue };
            thread::spawn(move || carry(from, to, |bytes| lost == Lost::Answer || !is_question_lost(bytes)));
            thread::spawn(move || carry(back.0, back.1, |bytes| lost == Lost::Question || !is_lost(bytes)));
        }
    });
    own
}

/// A port before several others: whoever comes is carried to the next of them that answers.
pub fn before(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (turn, client) in listener.incoming().flatten().enumerate() {
            let answers = |at: usize| TcpStream::connect(("127.0.0.1", ports[(turn + at) % ports.len()])).ok();
            let Some(server) = (0..ports.len()).find_map(answers) else { continue };
            both_ways(client, server, || true);
        }
    });
    own
}

/// A line that can be still: nothing goes over it then, and nobody is told.
#[derive(Clone)]
pub struct Gate {
    /// Where it begins.
    pub port: u16,
    shut: Arc<AtomicBool>,
}

impl Gate {
    /// Before a port.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { port: listener.local_addr().unwrap().port(), shut: Arc::default() };
        let shut = gate.shut.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shut = shut.clone();
                // Whoever comes while it is shut waits, as if nothing were there.
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                both_ways(client, server, move || !shut.load(Ordering::Relaxed));
            }
        });
        gate
    }

    /// Nothing goes through from now on.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// Everything goes through again.
    pub fn open(&self) {
        self.shut.store(false, Ordering::Relaxed);
    }
}

fn both_ways(one: TcpStream, other: TcpStream, is_open: impl Fn() -> bool + Clone + Send + 'static) {
    for (from, to) in [(one.try_clone(), other.try_clone()), (other.try_clone(), one.try_clone())] {
        let (Ok(from), Ok(to), is_open) = (from, to, is_open.clone()) else { return };
        let wait = move |_: &[u8]| {
            while !is_open() {
                thread::sleep(Duration::from_millis(20));
            }
            true
        };
        thread::spawn(move || carry(from, to, wait));
    }
}

/// Carries what goes one way, until it is cut, or `may_pass` says no.
fn carry(mut from: TcpStream, mut to: TcpStream, may_pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !may_pass(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
