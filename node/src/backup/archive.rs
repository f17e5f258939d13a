//! The container of a backup: a tar file of the plain kind (ustar), so that `tar` alone opens one.
//!
//! What must hold: only regular files with short relative names are written or read; nothing that is read can lead out of
//! the folder that it is taken into, or ask for more memory than a block; what is cut off is noticed.

use std::io::{self, Read, Write};

/// Everything in a tar file is a multiple of this.
const BLOCK: usize = 512;
/// Longest name of a file inside: what the short form of a header has room for.
const MAX_NAME: usize = 100;
/// The largest file: eleven octal digits.
const MAX_SIZE: u64 = (1 << 33) - 1;

const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const OWNERS: [std::ops::Range<usize>; 2] = [108..116, 116..124];
const SIZE: std::ops::Range<usize> = 124..136;
const TIME: std::ops::Range<usize> = 136..148;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;
/// `ustar`, zero, version 00.
const USTAR: &[u8] = b"ustar\x0000";

/// Writes one file after another.
#[derive(Debug)]
pub(super) struct Writer<W> {
    to: W,
    time_s: u64,
}

impl<W: Write> Writer<W> {
    /// Begins; all files get this time.
    pub(super) fn new(to: W, time_s: u64) -> Self {
        Self { to, time_s }
    }

    /// Writes a file of exactly `size` bytes.
    ///
    /// # Errors
    /// When it ends before, its name or size has no room, or the file system refuses.
    pub(super) fn file(&mut self, name: &str, size: u64, from: &mut dyn Read) -> io::Result<()> {
        self.to.write_all(&header(name, size, self.time_s)?)?;
        let copied = io::copy(&mut from.take(size), &mut self.to)?;
        if copied != size {
            let why = format!("{name} ended after {copied} bytes, it had {size}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.to.write_all(&[0; BLOCK][..padding(size)])
    }

    /// Ends it; gives back what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }
}

fn header(name: &str, size: u64, time_s: u64) -> io::Result<[u8; BLOCK]> {
    if !is_plain(name) || size > MAX_SIZE {
        let why = format!("{name}, {size} bytes: its name or its size has no room in a backup");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut block = [0; BLOCK];
    let mut put = |range: std::ops::Range<usize>, bytes: &[u8]| {
        block[range.start..range.start + bytes.len()].copy_from_slice(bytes);
    };
    put(NAME, name.as_bytes());
    put(MODE, b"0000600\0");
    OWNERS.into_iter().for_each(|owner| put(owner, b"0000000\0"));
    put(SIZE, format!("{size:011o}\0").as_bytes());
    put(TIME, format!("{:011o}\0", time_s.min(MAX_SIZE)).as_bytes());
    put(KIND..KIND + 1, b"0");
    put(MAGIC, USTAR);
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[SUM].copy_from_slice(sum.as_bytes());
    Ok(block)
}

/// The sum of all bytes, its own field read as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| if SUM.contains(&at) { u32::from(b' ') } else { u32::from(*byte) }).sum()
}

fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).expect("below 512");
    (BLOCK - over) % BLOCK
}

/// A relative name of letters, digits, dots, minus and underscores that leads down and nowhere else.
fn is_plain(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().any(|b| b != b'.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    name.len() <= MAX_NAME && name.split('/').all(part)
}

/// Reads one file after another.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
}

impl<R: Read> Reader<R> {
    /// Begins.
    pub(super) fn new(from: R) -> Self {
        Self { from }
    }

    /// Hands the next file to `take`, which reads all of it or some; false at the end.
    ///
    /// # Errors
    /// When it is no such archive, or was cut off, or `take` fails.
    pub(super) fn next<E: From<io::Error>>(
        &mut self,
        take: impl FnOnce(&str, u64, &mut dyn Read) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            self.from.read_exact(&mut block)?;
            let over = self.from.read(&mut [0])? > 0;
            if over || block.iter().any(|byte| *byte != 0) {
                return Err(bad("something follows its end").into());
            }
            return Ok(false);
        }
        let (name, size) = parse(&block)?;
        let mut content = Read::take(&mut self.from, size);
        take(&name, size, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let rest = &mut block[..padding(size)];
        self.from.read_exact(rest)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(true),
            false => Err(bad("something stands between its files").into()),
        }
    }
}

fn parse(block: &[u8; BLOCK]) -> io::Result<(String, u64)> {
    let text = |range: std::ops::Range<usize>| {
        let field = &block[range];
        let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).map(str::trim).unwrap_or_default().to_owned()
    };
    let number = |range| u64::from_str_radix(&text(range), 8).ok();
    if &block[MAGIC] != USTAR || number(SUM) != Some(u64::from(checksum(block))) {
        return Err(bad("a header in it is damaged"));
    }
    let (name, size) = (text(NAME), number(SIZE));
    match size {
        Some(size) if block[KIND] == b'0' && is_plain(&name) => Ok((name, size)),
        Some(_) | None => Err(bad("it holds something that no backup holds")),
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 1_582_934_399);
        for (name, content) in
            [("a.txt", "one"), ("ledger/public/tile/0/x001/234.p/7", ""), ("b", &"x".repeat(512))]
        {
            writer.file(name, content.len() as u64, &mut content.as_bytes()).unwrap();
        }
        writer.end().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let (mut files, mut reader) = (Vec::new(), Reader::new(bytes));
        while reader.next(|name, _, from| {
            let mut content = Vec::new();
            from.read_to_end(&mut content)?;
            files.push((name.to_owned(), content));
            io::Result::Ok(())
        })? {}
        Ok(files)
    }

    #[test]
    fn what_was_written_is_read_back_also_by_tar() {
        let bytes = archive();
        let files = read(&bytes).unwrap();
        assert_eq!(
            files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["a.txt", "ledger/public/tile/0/x001/234.p/7", "b"]
        );
        assert_eq!((files[0].1.as_slice(), files[2].1.len()), (&b"one"[..], 512));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        std::fs::write(&path, &bytes).unwrap();
        // Where the machine has one.
        if let Ok(out) = std::process::Command::new("tar").arg("-tf").arg(&path).output() {
            let listed = String::from_utf8(out.stdout).unwrap();
            assert!(out.status.success());
            assert_eq!(listed, "a.txt\nledger/public/tile/0/x001/234.p/7\nb\n");
        }
    }

    #[test]
    fn what_is_cut_or_changed_or_leads_elsewhere_is_refused() {
        let bytes = archive();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "cut at {len}");
        }
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        assert!(read(&changed).is_err());
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
        for name in ["/etc/passwd", "../up", "a/../b", "", "a//b", "a b", &"x".repeat(101)] {
            assert!(header(name, 0, 0).is_err(), "{name}");
        }
        // A header that is right in itself, for a name that leads out.
        let mut block = header("xx/up", 0, 0).unwrap();
        block[..2].copy_from_slice(b"..");
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[SUM].copy_from_slice(sum.as_bytes());
        assert!(parse(&block).is_err());
    }
}
