//! A party's certificate as it is now: its files are looked at again when a connection begins, so that a new certificate is
//! used without a restart.
//!
//! It must never give up what worked: files that are half written or wrong are told once, and the last good ones go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::error::TlsError;
use crate::identity::{Identity, Role};
use crate::material::{CERTIFICATE, Files, Material};

/// Connections that begin within this of the last look use what it found.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Those that a new certificate may have; any, where there are none.
    roles: Vec<Role>,
    state: Mutex<State>,
}

struct State {
    looked_at: Instant,
    /// The files as last seen, good or not; absent where they could not be read.
    seen: Option<Files>,
    material: Material,
}

impl Credentials {
    /// # Errors
    /// Files that are missing, damaged or do not fit together.
    pub fn load(folder: &Path) -> Result<Self, TlsError> {
        Self::with(folder, Vec::new())
    }

    fn with(folder: &Path, roles: Vec<Role>) -> Result<Self, TlsError> {
        let files = Files::read(folder)?;
        let material = Material::parse(&files)?;
        of_role(&material, &roles, folder)?;
        let state = State { looked_at: Instant::now(), seen: Some(files), material };
        Ok(Self(Arc::new(Inner { folder: folder.to_owned(), roles, state: Mutex::new(state) })))
    }

    /// The same, of a party that must have one of these roles now and later, and that its own authority believes.
    ///
    /// # Errors
    /// A certificate of another role or authority, or one at its end, as well.
    pub fn of_roles(folder: &Path, roles: &[Role]) -> Result<Self, TlsError> {
        let credentials = Self::with(folder, roles.to_vec())?;
        believed(&credentials.current(), folder)?;
        Ok(credentials)
    }

    /// Whom they named last.
    pub fn identity(&self) -> Identity {
        self.lock().material.identity().clone()
    }

    /// The files as they are, or as they last were good.
    pub fn current(&self) -> Material {
        let mut state = self.lock();
        if state.looked_at.elapsed() >= LOOK_EVERY {
            state.looked_at = Instant::now();
            self.look(&mut state);
        }
        state.material.clone()
    }

    fn look(&self, state: &mut State) {
        let read = Files::read(&self.0.folder);
        let files = match read {
            Ok(files) if state.seen.as_ref() == Some(&files) => return,
            Ok(files) => files,
            Err(error) => {
                if state.seen.take().is_some() {
                    warn!(%error, "the last good certificate goes on");
                }
                return;
            }
        };
        let folder = &self.0.folder;
        let fits =
            |material: &Material| of_role(material, &self.0.roles, folder).and_then(|()| believed(material, folder));
        match Material::parse(&files).and_then(|material| fits(&material).map(|()| material)) {
            Ok(material) => {
                info!(identity = %material.identity(), ends_at_s = material.ends_at_s(), "new certificate");
                state.material = material;
            }
            Err(error) => warn!(%error, "the last good certificate goes on"),
        }
        state.seen = Some(files);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing in it can be half done: a panic elsewhere leaves it whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_role(material: &Material, roles: &[Role], folder: &Path) -> Result<(), TlsError> {
    let found = material.identity().role();
    if roles.is_empty() || roles.contains(&found) {
        return Ok(());
    }
    let expected = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
    Err(TlsError::Role { path: folder.join(CERTIFICATE), found: found.name(), expected })
}

fn believed(material: &Material, folder: &Path) -> Result<(), TlsError> {
    material.check().map_err(|source| TlsError::NotBelieved { folder: folder.to_owned(), source })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0.folder).finish()
    }
}
