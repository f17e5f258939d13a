//! Keeps inputs that an engine has found: `cargo run -p weft-fuzz --example keep -- FOLDER` reads the folder of each target
//! below FOLDER, and writes the shortest of them to `corpus/TARGET`, beside those that are there.

use std::path::{Path, PathBuf};
use std::{env, fs, io};
use weft_fuzz::TARGETS;
use weft_fuzz::corpus::{packed, unpacked};

/// Longer inputs are left to the engine: what they show, shorter ones mostly show as well.
const MAX_INPUT_BYTES: usize = 1024;
/// How much is kept of one target.
const MAX_BYTES: usize = 48 * 1024;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("name the folder to read"))?;
    for (target, _) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let mut kept = fs::read(&path).ok().and_then(|bytes| unpacked(&bytes)).unwrap_or_default();
        let mut found = Vec::new();
        for file in fs::read_dir(folder.join(target))? {
            found.push(fs::read(file?.path())?);
        }
        found.sort_by_key(|input| (input.len(), input.clone()));
        found.retain(|input| input.len() <= MAX_INPUT_BYTES && !kept.contains(input));
        let mut room = MAX_BYTES.saturating_sub(kept.iter().map(|input| input.len() + 4).sum());
        for input in found {
            match room.checked_sub(input.len() + 4) {
                Some(rest) => room = rest,
                None => break,
            }
            kept.push(input);
        }
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(&path, packed(&kept))?;
    }
    Ok(())
}
