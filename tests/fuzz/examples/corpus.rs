//! Writes right inputs of every target, for an engine to begin with: `cargo run -p weft-fuzz --example corpus -- FOLDER`.

use std::path::PathBuf;
use std::{env, fs, io};
use weft_fuzz::TARGETS;
use weft_fuzz::seeds::right_inputs;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("name the folder to write to"))?;
    for (target, _) in TARGETS {
        let own = folder.join(target);
        fs::create_dir_all(&own)?;
        for (number, input) in right_inputs(target).iter().enumerate() {
            fs::write(own.join(format!("right-{number:03}")), input)?;
        }
    }
    Ok(())
}
