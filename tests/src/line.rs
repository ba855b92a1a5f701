//! Lines between programs of this machine that break.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A line to a port of this machine that is cut once so many bytes went there.
pub fn cut_after(port: u16, bytes: usize) -> u16 {
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
        let _ = from.shutdown(std::net::Shutdown::Both);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    own
}
