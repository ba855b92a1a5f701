//! Lines to a port of this machine that fail in the middle of what goes over them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

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

/// A line for any number of connections, each of which is cut instead of carrying back the answer that holds `word`: the other side has done
/// what it was asked, and nobody hears of it. Only every `each`th such answer is lost.
pub fn deaf_to(port: u16, word: &'static [u8], each: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let answers = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server), answers) = (client, TcpStream::connect(("127.0.0.1", port)), answers.clone()) else { return };
            let (mut there_from, mut there_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut there_from, &mut there_to);
                let _ = there_to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || carry_back(server, client, word, &answers, each));
        }
    });
    own
}

fn carry_back(mut from: TcpStream, mut to: TcpStream, word: &[u8], answers: &AtomicUsize, each: usize) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let holds = buffer[..count].windows(word.len()).any(|part| part == word);
        let is_lost = holds && answers.fetch_add(1, Ordering::Relaxed) % each == each - 1;
        if is_lost || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
