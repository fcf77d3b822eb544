//! Where results go: standard output, or a file that is there whole or not at all.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file in the making; the old one of its name stays until it is kept. What is no regular file (`/dev/null`, a
/// named pipe) is written to and stays what it is.
pub(super) struct NewFile {
    path: PathBuf,
    /// `None` where there is nothing to put into place.
    temporary: Option<tempfile::NamedTempFile>,
}

impl NewFile {
    pub fn create(path: &Path) -> Result<NewFile> {
        // Behind a link, the file that it leads to is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            return Ok(NewFile { path, temporary: None });
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary =
            tempfile::NamedTempFile::new_in(folder).map_err(|e| Error::io("create file in", folder, e))?;
        Ok(NewFile { path, temporary: Some(temporary) })
    }

    pub fn writer(&self) -> Result<File> {
        match &self.temporary {
            Some(temporary) => temporary.reopen(),
            None => File::options().write(true).open(&self.path),
        }
        .map_err(|e| Error::io("write", &self.path, e))
    }

    /// Puts the file in its place.
    pub fn keep(self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let Some(temporary) = self.temporary else { return Ok(()) };
        let file = temporary.persist(&self.path).map_err(|e| Error::io("write", &self.path, e.error))?;
        // Temporary files are private; a result is as readable as any new file. Not worth failing for.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
        Ok(())
    }
}

/// Writes to the file named, or to standard output.
pub(super) fn write_to(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    match path {
        None => write(&mut std::io::stdout().lock()),
        Some(path) => {
            let file = NewFile::create(path)?;
            write(&mut file.writer()?)?;
            file.keep()
        }
    }
}

/// Columns of the terminal that standard output is; `None` when it is none, or does not tell.
pub(super) fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    console_width().or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
}

fn console_width() -> Option<usize> {
    // SAFETY: `size` is a valid, writable winsize for the call.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0).then_some(size)
    };
    size.map(|s| usize::from(s.ws_col)).filter(|width| *width > 0)
}
