// A backend in Rust.  It answers every client with one line:
//
//	rustc -o backend backend.rs && ./backend /tmp/app.sock
//	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
//
// The standard library cannot receive descriptors yet; without a crate (nix,
// rustix) recvmsg(2) has to be declared by hand, here as it is on Linux.
use std::io::{Error, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::ptr::{addr_of_mut, null_mut};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

#[repr(C)]
struct Iov { base: *mut u8, len: usize }
#[repr(C)]
struct Control { len: usize, level: i32, kind: i32, fd: i32 }
#[repr(C)]
struct Message {
    name: *mut u8, name_len: u32,
    iov: *mut Iov, iov_len: usize,
    control: *mut Control, control_len: usize,
    flags: i32,
}
extern "C" {
    fn recvmsg(fd: i32, message: *mut Message, flags: i32) -> isize;
}
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_CMSG_CLOEXEC: i32 = 0x40000000;

// The client that comes with the first byte, if there is one.  It may be of
// AF_UNIX as well: what is called here makes no difference.
fn receive(conn: &UnixStream) -> Option<TcpStream> {
    let mut nul = 0u8;
    let mut iov = Iov { base: &mut nul, len: 1 };
    let mut control = Control { len: 0, level: 0, kind: 0, fd: -1 };
    let control_len = 4 + addr_of_mut!(control.fd) as usize
        - addr_of_mut!(control) as usize;       // and none for a second one
    let mut message = Message {
        name: null_mut(), name_len: 0, iov: &mut iov, iov_len: 1,
        control: &mut control, control_len, flags: 0,
    };
    let n = unsafe {
        recvmsg(conn.as_raw_fd(), &mut message, MSG_CMSG_CLOEXEC)
    };
    if n < 1 {
        return None;            // a probe: the end without a message
    }
    if message.control_len < control_len || control.level != SOL_SOCKET
        || control.kind != SCM_RIGHTS
    {
        eprintln!("a client was lost"); // no descriptor was free in here
        return None;
    }
    Some(unsafe { TcpStream::from_raw_fd(control.fd) })
}

fn serve(mut client: TcpStream) -> Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    client.write_all(b"Hello from Rust.\n")?;   // the body alone
    client.shutdown(Shutdown::Write)?;          // its end
    let begun = Instant::now();
    let mut unread = [0; 4096];                 // what nobody has read
    while client.read(&mut unread)? > 0 && begun.elapsed().as_secs() < 3 {}
    Ok(())
}

fn main() -> Result<()> {
    let path = env::args().nth(1)
        .ok_or_else(|| Error::from_raw_os_error(22))?;
    let _ = fs::remove_file(&path);
    for conn in UnixListener::bind(&path)?.incoming() {
        match conn {
            Ok(conn) => {
                thread::spawn(move || {
                    let client = receive(&conn);
                    drop(conn);
                    client.map(serve)   // an error is a client that has gone
                });
            }
            Err(e) => {
                eprintln!("{}", e);
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(())
}
