"""Reads both parts of a package with conda-package-streaming: PKG."""
import sys

from conda_package_streaming import package_streaming

for component in ("info", "pkg"):
    for tar, member in package_streaming.stream_conda_component(sys.argv[1], component=component):
        if member.isfile():
            assert len(tar.extractfile(member).read()) == member.size, member.name
        print(member.name, oct(member.mode), member.mtime)
