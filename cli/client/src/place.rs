//! Where a node listens: its Unix socket, or an address of this machine.

use crate::Error;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use tokio::net::{TcpStream, UnixStream};

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Unix(PathBuf),
    /// `host:port`, on this machine.
    Tcp(String),
}

/// An open connection of either kind.
pub(crate) enum Stream {
    Unix(TokioIo<UnixStream>),
    Tcp(TokioIo<TcpStream>),
}

impl Place {
    /// Reads `http://HOST:PORT`. The API speaks no TLS, so a token may only travel inside this machine.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::BadAddress { address: url.to_owned(), why: why.to_owned() };
        let form = "write http://127.0.0.1:PORT";
        let authority = url.strip_prefix("http://").ok_or_else(|| bad(form))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| bad(form))?;
        port.parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| bad("the port is not 1 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !here {
            return Err(bad("only this machine's own addresses are used, because nothing is encrypted; \
                            reach another machine's node through `ssh -L`"));
        }
        Ok(Self::Tcp(authority.to_owned()))
    }

    /// Reads `http://HOST[:PORT]/PATH` of any host, for what needs no token; gives the path too.
    pub(crate) fn parse_open(url: &str) -> Result<(Self, String), Error> {
        let bad = |why: &str| Error::BadAddress { address: url.to_owned(), why: why.to_owned() };
        let form = "write http://HOST:PORT/PATH; an https address is reached through a proxy on this machine";
        let rest = url.strip_prefix("http://").ok_or_else(|| bad(form))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if authority.is_empty()
            || authority.contains('@')
            || !url.is_ascii()
            || url.contains(char::is_whitespace)
        {
            return Err(bad(form));
        }
        let bracketed = authority.starts_with('[');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !bracketed || host.ends_with(']') => (host, port),
            Some(_) | None => (authority, "80"),
        };
        let port = port.parse::<u16>().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| bad("the port is not 1 to 65535"))?;
        Ok((Self::Tcp(format!("{host}:{port}")), path.to_owned()))
    }

    /// The `Host` header.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }

    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(path) => Stream::Unix(TokioIo::new(UnixStream::connect(path).await?)),
            Self::Tcp(authority) => {
                let stream = TcpStream::connect(authority.as_str()).await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(TokioIo::new(stream))
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_taken() {
        for good in ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:65535"] {
            assert!(Place::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_open_address_may_be_of_any_host_and_keeps_its_path() {
        let read = |url| Place::parse_open(url).map(|(place, path)| (place.to_string(), path)).ok();
        let some = |place: &str, path: &str| Some((place.to_owned(), path.to_owned()));
        assert_eq!(read("http://witness.example/w1/x"), some("http://witness.example:80", "/w1/x"));
        assert_eq!(read("http://10.0.0.1:8080"), some("http://10.0.0.1:8080", "/"));
        assert_eq!(read("http://[::1]:8080/a"), some("http://[::1]:8080", "/a"));
        assert_eq!(read("http://[::1]/a"), some("http://[::1]:80", "/a"));
        for bad in
            ["", "http://", "https://a.example/", "http://a:0/", "http://u@a/", "http://a /", "ftp://a/"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_addresses_are_refused_before_a_token_can_leave() {
        for bad in [
            "",
            "http://",
            "127.0.0.1:80",
            "https://127.0.0.1:80",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://127.0.0.1:65536",
            "http://192.168.1.2:80",
            "http://example.org:80",
            "http://127.0.0.1:80/x",
            "http://user@127.0.0.1:80",
            "http://127.0.0.1@evil.example:80",
        ] {
            assert!(matches!(Place::parse(bad), Err(Error::BadAddress { .. })), "{bad}");
        }
    }
}
