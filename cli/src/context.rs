//! What a command runs in: where the node is, and what the terminal can do.

use crate::args::Globals;
use crate::keyfile;
use crate::outcome::Failure;
use std::io::IsTerminal;
use weft_client::Client;

/// Name of the node's socket in its data folder.
const SOCKET: &str = "weftd.sock";
/// The environment variable that holds the token for `--url`.
const TOKEN_VARIABLE: &str = "WEFT_TOKEN";

/// What a command runs in.
#[derive(Debug)]
pub(crate) struct Context {
    globals: Globals,
    /// Whether a person can be asked.
    pub(crate) can_ask: bool,
    /// Whether progress can be drawn on stderr.
    pub(crate) can_draw: bool,
    /// Whether stdout shows bold and colour.
    pub(crate) colour: bool,
}

impl Context {
    /// Looks at the streams and the environment once.
    pub(crate) fn new(globals: Globals) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        Self {
            can_ask: stdin.is_terminal() && stderr.is_terminal(),
            can_draw: stderr.is_terminal() && !dumb,
            colour: stdout.is_terminal() && !dumb && !globals.json && !set("NO_COLOR"),
            globals,
        }
    }

    /// A context without a terminal.
    #[cfg(test)]
    pub(crate) fn plain(globals: Globals) -> Self {
        Self { globals, can_ask: false, can_draw: false, colour: false }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.globals.json
    }

    /// A client of the node that the options name.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let Some(url) = &self.globals.url else {
            return Ok(Client::unix(self.globals.data.join(SOCKET)));
        };
        let token = match &self.globals.token_file {
            Some(path) => Some(keyfile::read_secret(path)?),
            None => std::env::var(TOKEN_VARIABLE).ok().filter(|t| !t.is_empty()).map(Into::into),
        };
        Ok(Client::url(url, token.as_ref().map(|token| token.trim()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;
    use std::os::unix::fs::PermissionsExt;

    fn context(url: Option<&str>, token_file: Option<std::path::PathBuf>) -> Context {
        let url = url.map(str::to_owned);
        Context::plain(Globals { data: "/nowhere".into(), url, token_file, json: true })
    }

    #[test]
    fn without_an_address_the_socket_in_the_data_folder_is_used() {
        assert_eq!(context(None, None).client().unwrap().place(), "/nowhere/weftd.sock");
    }

    #[test]
    fn a_token_file_must_be_private_and_its_line_end_is_not_part_of_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let client = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            context(Some("http://127.0.0.1:8080"), Some(path.clone())).client()
        };
        assert!(client(0o600).is_ok());
        assert_eq!(client(0o644).unwrap_err().exit, Exit::BadConfiguration);
    }

    #[test]
    fn a_node_elsewhere_is_not_spoken_to() {
        let failure = context(Some("http://192.0.2.1:80"), None).client().unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::BadConfiguration, "bad-address"));
    }
}
