//! Lines to a port of this machine that fail in the middle of what goes over them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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
