//! The frame codec: a body behind its length as `u32` big-endian, one per direction of a stream.
//!
//! The announced length is checked against the cap of its protocol and direction before any memory
//! is taken, and memory then grows only with the bytes that really arrive; what one connection has
//! half sent is bounded by its tier, in bytes and in time. Nothing may follow the
//! frame. A request of length zero is an error; a response of length zero is the explicit refusal,
//! by which the other side says that it has not acted on the request.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response::Codec;

use super::{
    counters::{Direction, Meter, Part},
    protocols::Protocol,
};

/// A stream that does not hold exactly one frame within its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is above the cap.
    #[error("a {protocol} frame of {announced} bytes, {allowed} are allowed")]
    TooLarge {
        /// Under which protocol.
        protocol: Protocol,
        /// The announced length, in bytes.
        announced: usize,
        /// The cap of this protocol and direction, in bytes.
        allowed: usize,
    },
    /// A request of length zero.
    #[error("a {protocol} request of 0 bytes, at least 1 is needed")]
    Empty {
        /// Under which protocol.
        protocol: Protocol,
    },
    /// The stream ended inside the frame.
    #[error("a {protocol} frame of {announced} bytes that ended after {received}")]
    Short {
        /// Under which protocol.
        protocol: Protocol,
        /// The announced length, in bytes.
        announced: usize,
        /// The bytes that arrived.
        received: usize,
    },
    /// It did not arrive whole in its time.
    #[error("a {protocol} request that did not arrive whole within {allowed_ms} ms")]
    Slow {
        /// Under which protocol.
        protocol: Protocol,
        /// How long it may take, in ms.
        allowed_ms: u64,
    },
    /// Something follows the frame.
    #[error("bytes after the end of a {protocol} frame")]
    Trailing {
        /// Under which protocol.
        protocol: Protocol,
    },
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The framing rule that this I/O error stands for, if it is one of ours.
pub(super) fn framing_fault(error: &io::Error) -> Option<FrameError> {
    error.get_ref()?.downcast_ref::<FrameError>().copied()
}

/// A request as it leaves or arrives. libp2p does not report a request that failed to be read, so
/// a broken one is handed over as such: its sender must be known to be hung up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// A body.
    Frame(Vec<u8>),
    /// The peer broke the framing rules. Never sent.
    Broken(FrameError),
    /// Its connection has as much half sent as it may. Never sent.
    NoRoom(Protocol),
}

/// What comes back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// An answer.
    Frame(Vec<u8>),
    /// The explicit refusal: the request was not acted on.
    Refused,
}

/// How many bytes of requests one connection may have half sent.
#[derive(Debug)]
pub(super) struct Reading {
    cap: AtomicUsize,
    used: AtomicUsize,
}

impl Reading {
    pub(super) fn new(cap: usize) -> Self {
        Self { cap: AtomicUsize::new(cap), used: AtomicUsize::new(0) }
    }

    pub(super) fn set_cap(&self, cap: usize) {
        self.cap.store(cap, Relaxed);
    }

    /// Takes so many bytes, until the guard is dropped.
    fn take<'a>(&'a self, held: &mut Held<'a>, bytes: usize) -> bool {
        let (before, cap) = (self.used.fetch_add(bytes, Relaxed), self.cap.load(Relaxed));
        if before.saturating_add(bytes) > cap {
            self.used.fetch_sub(bytes, Relaxed);
            return false;
        }
        held.bytes += bytes;
        true
    }
}

/// What one request holds of it.
struct Held<'a> {
    of: &'a Reading,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Where the gate lays the bound of a connection that is being set up, for the codecs made right after it.
#[derive(Debug, Clone)]
pub(super) struct NextReading(Arc<Mutex<Arc<Reading>>>);

impl NextReading {
    pub(super) fn new(cap: usize) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(Reading::new(cap)))))
    }

    pub(super) fn lay(&self, reading: Arc<Reading>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    pub(super) fn get(&self) -> Arc<Reading> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads and writes the frames of every protocol and reports them to the meter.
#[derive(Debug)]
pub(super) struct FrameCodec {
    meter: Arc<Meter>,
    next: NextReading,
    /// The bound of its connection; `None` in the one from which connections get theirs.
    reading: Option<Arc<Reading>>,
}

impl FrameCodec {
    pub(super) fn new(meter: Arc<Meter>, next: NextReading) -> Self {
        Self { meter, next, reading: None }
    }
}

/// libp2p clones the codec for each connection, and that one for each stream.
impl Clone for FrameCodec {
    fn clone(&self) -> Self {
        let reading = self.reading.clone().unwrap_or_else(|| self.next.get());
        Self { meter: Arc::clone(&self.meter), next: self.next.clone(), reading: Some(reading) }
    }
}

impl Codec for FrameCodec {
    type Protocol = Protocol;
    type Request = Ask;
    type Response = Reply;

    async fn read_request<T>(&mut self, protocol: &Protocol, io: &mut T) -> io::Result<Ask>
    where
        T: AsyncRead + Unpin + Send,
    {
        let reading = self.reading.clone().unwrap_or_else(|| self.next.get());
        match read_in_time(io, *protocol, &reading, protocol.read_timeout()).await {
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Ok(Ask::NoRoom(*protocol)),
            Ok(bytes) if bytes.is_empty() => Ok(Ask::Broken(FrameError::Empty { protocol: *protocol })),
            Ok(bytes) => {
                self.meter.frame(*protocol, Direction::In, Part::Request, &bytes);
                Ok(Ask::Frame(bytes))
            }
            Err(error) => framing_fault(&error).map(Ask::Broken).ok_or(error),
        }
    }

    async fn read_response<T>(&mut self, protocol: &Protocol, io: &mut T) -> io::Result<Reply>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame(io, *protocol, protocol.response_cap(), None).await?;
        if bytes.is_empty() {
            return Ok(Reply::Refused);
        }
        self.meter.frame(*protocol, Direction::In, Part::Response, &bytes);
        Ok(Reply::Frame(bytes))
    }

    async fn write_request<T>(&mut self, protocol: &Protocol, io: &mut T, ask: Ask) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = match ask {
            Ask::Frame(bytes) => bytes,
            Ask::Broken(fault) => return Err(fault.into()),
            Ask::NoRoom(protocol) => return Err(FrameError::Empty { protocol }.into()),
        };
        check_outgoing(&request, *protocol, protocol.request_cap())?;
        write_frame(io, &request).await?;
        self.meter.frame(*protocol, Direction::Out, Part::Request, &request);
        Ok(())
    }

    async fn write_response<T>(&mut self, protocol: &Protocol, io: &mut T, reply: Reply) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match reply {
            Reply::Refused => write_frame(io, &[]).await,
            Reply::Frame(bytes) => {
                check_outgoing(&bytes, *protocol, protocol.response_cap())?;
                write_frame(io, &bytes).await?;
                self.meter.frame(*protocol, Direction::Out, Part::Response, &bytes);
                Ok(())
            }
        }
    }
}

/// Checks a body that we are about to send.
pub(super) fn check_outgoing(bytes: &[u8], protocol: Protocol, allowed: usize) -> Result<(), FrameError> {
    match bytes.len() {
        0 => Err(FrameError::Empty { protocol }),
        announced if announced > allowed => Err(FrameError::TooLarge { protocol, announced, allowed }),
        _ => Ok(()),
    }
}

async fn read_in_time<T>(
    io: &mut T,
    protocol: Protocol,
    reading: &Reading,
    allowed: Duration,
) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let read = read_frame(io, protocol, protocol.request_cap(), Some(reading));
    tokio::time::timeout(allowed, read).await.unwrap_or_else(|_| {
        let allowed_ms = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX);
        Err(FrameError::Slow { protocol, allowed_ms }.into())
    })
}

/// Bytes read at a time: a bound is asked for so many more before they are.
const CHUNK: usize = 16 * 1_024;

async fn read_frame<T>(
    io: &mut T,
    protocol: Protocol,
    allowed: usize,
    reading: Option<&Reading>,
) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut prefix = [0_u8; 4];
    io.read_exact(&mut prefix).await?;
    let announced = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if announced > allowed {
        return Err(FrameError::TooLarge { protocol, announced, allowed }.into());
    }
    let mut held = reading.map(|of| Held { of, bytes: 0 });
    let mut bytes = Vec::new();
    while bytes.len() < announced {
        let more = (announced - bytes.len()).min(CHUNK);
        if let (Some(reading), Some(held)) = (reading, &mut held)
            && !reading.take(held, more)
        {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let before = bytes.len();
        // `read_to_end` grows with what arrives: an announced length alone costs nothing.
        (&mut *io).take(more as u64).read_to_end(&mut bytes).await?;
        if bytes.len() < before + more {
            return Err(FrameError::Short { protocol, announced, received: bytes.len() }.into());
        }
    }
    if io.read(&mut [0_u8; 1]).await? != 0 {
        return Err(FrameError::Trailing { protocol }.into());
    }
    Ok(bytes)
}

async fn write_frame<T>(io: &mut T, bytes: &[u8]) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(bytes.len()).expect("every cap fits the length prefix");
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use futures::io::Cursor;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn codec() -> FrameCodec {
        FrameCodec::new(Arc::new(Meter::default()), NextReading::new(usize::MAX))
    }

    fn framed(length: u32, body: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], body].concat()
    }

    /// A request read from these bytes; `None` when the stream ended before its length.
    fn read(wire: &[u8]) -> Option<Ask> {
        block_on(codec().read_request(&Protocol::Hello, &mut Cursor::new(wire))).ok()
    }

    /// Gives the length prefix, then panics if anybody asks for more.
    struct OnlyAPrefix(Vec<u8>);

    impl AsyncRead for OnlyAPrefix {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            assert!(!self.0.is_empty(), "read past the length prefix");
            let taken = buffer.len().min(self.0.len());
            buffer[..taken].copy_from_slice(&self.0[..taken]);
            self.0.drain(..taken);
            Poll::Ready(Ok(taken))
        }
    }

    #[test]
    fn a_frame_written_is_read_back_in_both_directions() {
        let mut codec = codec();
        let mut wire = Cursor::new(Vec::new());
        block_on(codec.write_request(&Protocol::Pair, &mut wire, Ask::Frame(b"ask".to_vec()))).unwrap();
        assert_eq!(wire.get_ref(), &framed(3, b"ask"));
        wire.set_position(0);
        let asked = block_on(codec.read_request(&Protocol::Pair, &mut wire)).unwrap();
        assert_eq!(asked, Ask::Frame(b"ask".to_vec()));

        let mut wire = Cursor::new(Vec::new());
        let reply = Reply::Frame(b"told".to_vec());
        block_on(codec.write_response(&Protocol::Pair, &mut wire, reply.clone())).unwrap();
        wire.set_position(0);
        assert_eq!(block_on(codec.read_response(&Protocol::Pair, &mut wire)).unwrap(), reply);
    }

    #[test]
    fn a_refusal_is_a_response_of_length_zero() {
        let mut wire = Cursor::new(Vec::new());
        block_on(codec().write_response(&Protocol::Claim, &mut wire, Reply::Refused)).unwrap();
        assert_eq!(wire.get_ref(), &[0, 0, 0, 0]);
        wire.set_position(0);
        let read = block_on(codec().read_response(&Protocol::Claim, &mut wire));
        assert_eq!(read.unwrap(), Reply::Refused);
    }

    #[test]
    fn an_oversize_length_is_refused_from_the_prefix_alone() {
        for protocol in Protocol::ALL {
            for (cap, response) in [(protocol.request_cap(), false), (protocol.response_cap(), true)] {
                for announced in [u32::try_from(cap).unwrap() + 1, u32::MAX] {
                    let mut wire = OnlyAPrefix(announced.to_be_bytes().to_vec());
                    let fault = if response {
                        let error = block_on(codec().read_response(&protocol, &mut wire)).unwrap_err();
                        framing_fault(&error)
                    } else {
                        match block_on(codec().read_request(&protocol, &mut wire)).unwrap() {
                            Ask::Broken(fault) => Some(fault),
                            Ask::Frame(_) | Ask::NoRoom(_) => None,
                        }
                    };
                    let announced = usize::try_from(announced).unwrap();
                    let expected = FrameError::TooLarge { protocol, announced, allowed: cap };
                    assert_eq!(fault, Some(expected));
                }
            }
        }
    }

    #[test]
    fn a_frame_of_exactly_the_cap_passes() {
        let body = vec![7; Protocol::Hello.request_cap()];
        let length = u32::try_from(body.len()).unwrap();
        assert_eq!(read(&framed(length, &body)), Some(Ask::Frame(body)));
    }

    #[test]
    fn empty_short_and_trailing_frames_are_refused() {
        let protocol = Protocol::Hello;
        let broken = |fault| Some(Ask::Broken(fault));
        assert_eq!(read(&framed(0, b"")), broken(FrameError::Empty { protocol }));
        assert_eq!(
            read(&framed(5, b"abc")),
            broken(FrameError::Short { protocol, announced: 5, received: 3 })
        );
        assert_eq!(read(&framed(3, b"abcd")), broken(FrameError::Trailing { protocol }));
        assert_eq!(read(&[0, 0]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn we_never_send_a_body_that_the_other_side_must_refuse() {
        let protocol = Protocol::Hello;
        let announced = protocol.request_cap() + 1;
        let mut wire = Cursor::new(Vec::new());
        let sent = block_on(codec().write_request(&protocol, &mut wire, Ask::Frame(vec![0; announced])));
        let allowed = protocol.request_cap();
        assert_eq!(
            framing_fault(&sent.unwrap_err()),
            Some(FrameError::TooLarge { protocol, announced, allowed })
        );
        assert!(wire.get_ref().is_empty());
    }

    #[test]
    fn what_a_connection_has_half_sent_is_bounded_and_given_back() {
        let next = NextReading::new(0);
        let of_behaviour = FrameCodec::new(Arc::new(Meter::default()), next.clone());
        next.lay(Arc::new(Reading::new(100)));
        let mut one = of_behaviour.clone();
        next.lay(Arc::new(Reading::new(3_000)));
        let (mut other, mut same) = (of_behaviour.clone(), one.clone());
        let read = |codec: &mut FrameCodec, length: usize| {
            let wire = framed(u32::try_from(length).unwrap(), &vec![1; length]);
            block_on(codec.read_request(&Protocol::Hello, &mut Cursor::new(wire))).unwrap()
        };
        for _ in 0..3 {
            assert_eq!(read(&mut one, 100), Ask::Frame(vec![1; 100]), "what was read is given back");
            assert_eq!(
                read(&mut same, 101),
                Ask::NoRoom(Protocol::Hello),
                "a stream has the bound of its connection"
            );
            assert_eq!(read(&mut other, 3_000), Ask::Frame(vec![1; 3_000]), "another connection has its own");
        }
    }

    /// Gives three bytes of a frame, and then nothing for ever.
    struct Stalls(usize);

    impl AsyncRead for Stalls {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Pending };
            self.0 = left;
            buffer[0] = 0;
            Poll::Ready(Ok(1))
        }
    }

    #[tokio::test]
    async fn a_request_that_does_not_arrive_in_time_is_given_up() {
        let (protocol, reading) = (Protocol::Hello, Reading::new(1_000));
        let read = read_in_time(&mut Stalls(3), protocol, &reading, Duration::from_millis(30)).await;
        let slow = FrameError::Slow { protocol, allowed_ms: 30 };
        assert_eq!(framing_fault(&read.unwrap_err()), Some(slow));
        assert_eq!(reading.used.load(Relaxed), 0);
    }
}
