//! Zip archives.

use std::io::{Read, Seek};

use super::Trouble;
use super::writer::Writer;

/// A link's target may be this long.
const TARGET: u64 = 64 << 10;

pub(super) fn unpack(reader: impl Read + Seek, writer: &mut Writer) -> Result<(), Trouble> {
    let mut archive = zip::ZipArchive::new(reader).map_err(|error| Trouble::Archive(error.to_string()))?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| Trouble::Archive(error.to_string()))?;
        let mut name = file.name().map_or_else(|_| file.name_raw().to_vec(), |name| name.into_owned().into_bytes());
        if matches!(file.system(), zip::System::Dos) {
            // Written on Windows by programs that don't know the format.
            name.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        let mode = file.unix_mode();
        let mtime = mtime(&file);
        let folder = file.is_dir() || name.last() == Some(&b'/');
        let default = if folder { 0o755 } else { 0o644 };
        let member = writer.member(&name, mode.unwrap_or(default), mtime)?;
        match mode.unwrap_or_default() & 0o170_000 {
            _ if folder => writer.folder(member)?,
            0o120_000 => {
                let mut target = Vec::new();
                file.by_ref()
                    .take(TARGET)
                    .read_to_end(&mut target)
                    .map_err(|error| member.trouble(error.to_string()))?;
                writer.symlink(member, &target)?;
            }
            0 | 0o100_000 => writer.file(&member, &mut file)?,
            _ => return Err(member.trouble("it is neither a file nor a folder nor a link")),
        }
    }
    Ok(())
}

/// The extended time stamp, which is UTC; else the DOS time, which has no zone and is read as UTC.
fn mtime<R: Read>(file: &zip::read::ZipFile<'_, R>) -> Option<i64> {
    let extended = file.extra_data_fields().find_map(|field| match field {
        zip::ExtraField::ExtendedTimestamp(stamp) => stamp.mod_time(),
        _ => None,
    });
    if let Some(seconds) = extended {
        return Some(i64::from(seconds));
    }
    let dos = file.last_modified()?;
    let narrow = |number: u8| i8::try_from(number).ok();
    let date =
        jiff::civil::Date::new(i16::try_from(dos.year()).ok()?, narrow(dos.month())?, narrow(dos.day())?).ok()?;
    let time = jiff::civil::Time::new(narrow(dos.hour())?, narrow(dos.minute())?, narrow(dos.second())?, 0).ok()?;
    let zoned = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}
