//! A root file system that is looked at, also while its container runs: mounted once more, for reading.

use super::mount::{Mounted, make_directory};
use super::{Base, Disk, RootfsPlan, TREE, disk, overlay, upper};
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

impl RootfsPlan {
    /// Mounts all of it at `target`, for reading, as [`RootfsPlan::mount`] has it otherwise.
    ///
    /// # Errors
    /// What can't be mounted; a file system in a file that a running container writes to.
    pub fn mount_for_reading(&self, target: &Path) -> Result<Mounted> {
        self.look(target, true)
    }

    /// Mounts what it began with at `target`, for reading; gives the directory that has what was changed, in the form of an
    /// overlay's upper one, which needn't be there. Of a tree, that is the container's copy of it.
    ///
    /// # Errors
    /// As before; and if what is changed isn't kept apart.
    pub fn mount_base(&self, target: &Path) -> Result<(Mounted, PathBuf)> {
        if self.upper.is_none() {
            let message = "what it changes isn't kept apart from what it began with: it writes to a directory or a disk image";
            return Err(Error::new(Kind::State, message));
        }
        let mut mounted = self.look(target, false)?;
        match self.changes(&mut mounted) {
            Ok(changes) => Ok((mounted, changes)),
            Err(error) => {
                let _ = mounted.unmount();
                Err(error)
            }
        }
    }

    fn look(&self, target: &Path, changed: bool) -> Result<Mounted> {
        let mut mounted = Mounted::default();
        let done = self.look_into(target, changed, &mut mounted);
        if done.is_err() {
            // What failed first is what is told.
            let _ = std::mem::take(&mut mounted).unmount();
        }
        done.map(|()| mounted).map_err(|error| error.during("root file system"))
    }

    fn look_into(&self, target: &Path, changed: bool, mounted: &mut Mounted) -> Result<()> {
        let mut lowers = match (&self.base, &self.upper) {
            (Base::Layers(layers), _) => layers.clone(),
            (Base::Tree(_), Some(upper)) if changed => vec![upper.directory.join(TREE)],
            (Base::Directory(directory) | Base::Tree(directory), _) => vec![directory.clone()],
            (Base::Disk(base), None) => {
                disk::mount(base, target, true)?;
                mounted.points.push(target.to_owned());
                return Ok(());
            }
            (Base::Disk(base), Some(upper)) => vec![super::mount::below(base, upper, mounted)?],
        };
        if changed && self.upper.is_some() && !matches!(self.base, Base::Tree(_)) {
            let changes = self.changes(mounted)?;
            if changes.is_dir() {
                lowers.insert(0, changes);
            }
        }
        overlay::check(&lowers)?;
        match &lowers[..] {
            [one] => super::mount::bind(one, target)?,
            several => overlay::mount(target, several, None)?,
        }
        mounted.points.push(target.to_owned());
        Ok(())
    }

    /// Where the changes are; a file system in a file is mounted for that.
    fn changes(&self, mounted: &mut Mounted) -> Result<PathBuf> {
        let Some(upper) = &self.upper else { return Ok(PathBuf::new()) };
        if matches!(self.base, Base::Tree(_)) {
            return Ok(upper.directory.join(TREE));
        }
        if !upper.is_file() {
            return Ok(upper.directory.join(upper::UPPER));
        }
        let point = upper.directory.join(upper::POINT);
        if !mounted.points.contains(&point) {
            make_directory(&point, 0o700)?;
            let file = upper.directory.join(upper::FILE);
            let disk = Disk { file, offset: 0, size: None, filesystem: "ext4".into(), read_only: true };
            disk::mount(&disk, &point, true)?;
            mounted.points.push(point.clone());
        }
        Ok(point.join(upper::UPPER))
    }
}
