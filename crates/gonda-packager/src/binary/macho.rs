//! Mach-O: macOS and its siblings, one machine at a time or several in a universal file.

use std::io::{Read, Seek};

use object::read::FileKind;
use object::read::macho::{FatArch, MachHeader, MachOFatFile};
use object::{Endianness, macho};

use super::signature::{self, PageHashes};
use super::window::Window;
use super::{Binary, Broken, Format, MOST_IMAGES, MOST_NAMES, Machine, Os, Parsed, Role, Signature, name};

pub(super) fn parse_universal<'a, Arch: FatArch, R: Read + Seek>(data: Window<'a, R>) -> Parsed {
    let file = MachOFatFile::<Arch>::parse(data)?;
    let mut images: Vec<Binary> = Vec::new();
    let mut hashes: Vec<PageHashes> = Vec::new();
    for arch in file.arches().iter().take(MOST_IMAGES) {
        let Some(part) = data.part(arch.offset().into(), arch.size().into()) else {
            return Err(Broken("an image of it lies outside the file".to_owned()));
        };
        let (image, of_image) = match FileKind::parse(part)? {
            FileKind::MachO32 => parse::<macho::MachHeader32<Endianness>, _>(part)?,
            FileKind::MachO64 => parse::<macho::MachHeader64<Endianness>, _>(part)?,
            // A universal file of static libraries.
            _ => continue,
        };
        hashes.extend(of_image.into_iter().map(|of_image| of_image.of_image(images.len())));
        images.push(image);
    }
    let mut images = images.into_iter();
    let mut first = images.next().unwrap_or_else(|| Binary { os: Os::MacOs, ..Binary::unknown(Format::MachO) });
    first.images = images.collect();
    Ok((first, hashes))
}

pub(super) fn parse<'a, Mach: MachHeader<Endian = Endianness>, R: Read + Seek>(data: Window<'a, R>) -> Parsed {
    let header = Mach::parse(data, 0)?;
    let endian = header.endian()?;
    let mut binary = Binary::unknown(Format::MachO);
    let mut hashes = Vec::new();
    binary.machine = match header.cputype(endian) {
        macho::CPU_TYPE_X86 => Machine::X86,
        macho::CPU_TYPE_X86_64 => Machine::X86_64,
        macho::CPU_TYPE_ARM => Machine::Arm,
        macho::CPU_TYPE_ARM64 => Machine::Arm64,
        macho::CPU_TYPE_POWERPC64 => Machine::Ppc64,
        _ => Machine::Other,
    };
    binary.role = match header.filetype(endian) {
        macho::MH_EXECUTE => Role::Program,
        macho::MH_OBJECT => Role::Object,
        _ => Role::Library,
    };
    // Files without any word on it are macOS's: only it has ever gone without.
    binary.os = Os::MacOs;
    let version = |version: macho::Version| format!("{}.{}", version.major(), version.minor());
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        if binary.needed.len() + binary.rpaths.len() == MOST_NAMES {
            break;
        }
        // A library's own name is a command of the same shape.
        if command.cmd() == macho::LC_ID_DYLIB {
            continue;
        }
        if let Some(library) = command.dylib()? {
            binary.needed.push(name(command.string(endian, library.dylib.name)?));
        } else if let Some((build, _)) = command.build_version(endian)? {
            if build.platform.get(endian) != macho::PLATFORM_MACOS {
                binary.os = Os::Other;
            }
            binary.min_os = Some(version(build.minos.get(endian)));
        } else {
            match command.cmd() {
                macho::LC_VERSION_MIN_MACOSX => {
                    let least: &macho::VersionMinCommand<_> = command.data()?;
                    binary.min_os = Some(version(least.version.get(endian)));
                }
                macho::LC_VERSION_MIN_IPHONEOS | macho::LC_VERSION_MIN_TVOS | macho::LC_VERSION_MIN_WATCHOS => {
                    binary.os = Os::Other;
                }
                macho::LC_RPATH => {
                    let rpath: &macho::RpathCommand<_> = command.data()?;
                    binary.rpaths.push(name(command.string(endian, rpath.path)?));
                }
                macho::LC_LOAD_DYLINKER => {
                    let linker: &macho::DylinkerCommand<_> = command.data()?;
                    binary.interpreter = Some(name(command.string(endian, linker.name)?));
                }
                macho::LC_CODE_SIGNATURE if binary.signature.is_none() => {
                    let place: &macho::LinkeditDataCommand<_> = command.data()?;
                    binary.signature = match signature::read(place, endian, data) {
                        Ok((adhoc, found)) => {
                            hashes = found;
                            Some(Signature { adhoc, intact: None })
                        }
                        Err(_) => Some(Signature { adhoc: false, intact: Some(false) }),
                    };
                }
                _ => {}
            }
        }
    }
    Ok((binary, hashes))
}
