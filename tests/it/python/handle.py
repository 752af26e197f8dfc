"""Extracts a package with conda-package-handling, holds it against paths.json, converts it there and back: PKG FOLDER."""
import hashlib
import json
import os
import pathlib
import sys

from conda_package_handling import api, validate

package, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir()
extracted = folder / "extracted"
api.extract(str(package), str(extracted))
paths = json.loads((extracted / "info/paths.json").read_text())["paths"]
for entry in paths:
    path = extracted / entry["_path"]
    if entry["path_type"] == "hardlink":
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"], path
        assert path.stat().st_size == entry["size_in_bytes"], path
    print(entry["_path"])
found = {
    str(path.relative_to(extracted)).replace(os.sep, "/")
    for path in extracted.rglob("*")
    if (path.is_symlink() or path.is_file()) and path.relative_to(extracted).parts[0] != "info"
}
assert found == {entry["_path"] for entry in paths}, found
errors = api.transmute(str(package), ".tar.bz2", out_folder=str(folder))
assert not errors, errors
converted = folder / package.name.replace(".conda", ".tar.bz2")
_, missing, mismatching = validate.validate_converted_files_match_streaming(str(converted), str(package))
assert not missing and not mismatching, (missing, mismatching)
