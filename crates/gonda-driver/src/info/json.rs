//! JSON in the two shapes that the peers write: indented with sorted keys, and on one line as Python's `json.dumps`.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;

/// Sorted, indent 2, no line break at the end: `json.dump(…, indent=2, sort_keys=True)`.
pub(super) fn pretty(mut value: Value) -> Vec<u8> {
    value.sort_all_objects();
    format!("{value:#}").into_bytes()
}

/// One line, `", "` and `": "` between parts: `json.dump(…)`.
pub(super) fn line(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Python);
    // Writing a JSON value to memory can't fail.
    let _ = value.serialize(&mut serializer);
    text
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
