"""Installs a package with py-rattler: CHANNEL PREFIX CACHE NAME VERSION."""
import asyncio
import os
import pathlib
import sys

import rattler

channel, prefix, cache, name, version = sys.argv[1:]


async def main():
    records = await rattler.solve(
        [rattler.Channel(pathlib.Path(channel).resolve().as_uri())],
        [f"{name} =={version}"],
        gateway=rattler.Gateway(cache_dir=cache),
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, target_prefix=prefix, cache_dir=cache, show_progress=False)
    for record in records:
        print(record.file_name)


asyncio.run(main())
# The library's own threads may be alive while the interpreter tears itself down, which then aborts.
sys.stdout.flush()
os._exit(0)
