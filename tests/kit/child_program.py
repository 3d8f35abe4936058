"""End of a program that tests talk to by its standard input."""

from __future__ import annotations

import asyncio

END_SECONDS = 5


async def end_program(process: asyncio.subprocess.Process) -> None:
    """Close the input of a program, which asks it to end; kill it when it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
