"""Section 6: text is UTF-8, and what cannot become it is refused as soon as the fragment is there that breaks it.

Sources of the sequences: Markus Kuhn's "UTF-8 decoder capability and stress test", and the Unicode Standard, table 3-7.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.component.websocket.case import BINARY, PING, TEXT, Case, frame, illegal, legal, message, pieces

GREETING = "Hello-µ@ßöäüàá-UTF-8!!".encode()
KOSME = "κόσμε".encode()
EMOJI = "\U0001f600".encode()

VALID = {
    "first of two bytes": "c280",
    "last of one byte": "7f",
    "last of two bytes": "dfbf",
    "first of three bytes": "e0a080",
    "last of three bytes": "efbfbf",
    "first of four bytes": "f0908080",
    "last of four bytes": "f48fbfbf",
    "before the surrogates": "ed9fbf",
    "after the surrogates": "ee8080",
    "replacement character": "efbfbd",
    "no character": "efbfbe",
    "no character above": "f09fbfbe",
    "byte order mark": "efbbbf",
    "zero": "00",
}
INVALID = {
    "first continuation": "80",
    "last continuation": "bf",
    "two continuations": "80bf",
    "all continuations": bytes(range(0x80, 0xC0)).hex(),
    "lonely start of two": "c220",
    "lonely start of three": "e020",
    "lonely start of four": "f020",
    "one short, of three": "e08020",
    "one short, of four": "f0908020",
    "c0": "c0",
    "c1": "c1bf",
    "f5": "f5808080",
    "fe": "fe",
    "ff": "ff",
    "fe fe ff ff": "fefeffff",
    "overlong slash of two": "c0af",
    "overlong slash of three": "e080af",
    "overlong slash of four": "f08080af",
    "overlong slash of five": "f8808080af",
    "overlong slash of six": "fc80808080af",
    "longest overlong of two": "c1bf",
    "longest overlong of three": "e09fbf",
    "longest overlong of four": "f08fbfbf",
    "overlong zero": "c080",
    "first high surrogate": "eda080",
    "last high surrogate": "edafbf",
    "first low surrogate": "edb080",
    "last low surrogate": "edbfbf",
    "pair of surrogates": "eda080edb080",
    "above the last character": "f4908080",
    "five bytes": "f888808080",
    "six bytes": "fc8480808080",
}
CUT_OFF = {"of two": "c2", "of three": "e0a0", "of four": "f09080", "of the greeting": GREETING[:7].hex()}


def valid() -> Iterator[Case]:
    """Yield cases of valid UTF-8, with characters divided among fragments."""
    yield legal("6 three empty fragments", *message(TEXT, b"", b"", b""), echoed=[(TEXT, b"")])
    yield legal("6 empty around something", *message(TEXT, b"", b"middle", b""), echoed=[(TEXT, b"middle")])
    for text in (GREETING, KOSME, EMOJI * 3):
        yield legal(f"6 {text.hex()}", frame(TEXT, text), echoed=[(TEXT, text)])
        for size in (1, 2, 3, 5):
            cut = message(TEXT, *pieces(text, size))
            yield legal(f"6 {text.hex()} in fragments of {size}", *cut, echoed=[(TEXT, text)])
            apart = [piece for one in cut[1:] for piece in (frame(PING, b"p"), one)]
            yield legal(
                f"6 {text.hex()} in fragments of {size} and pings",
                cut[0],
                *apart,
                echoed=[(TEXT, text)],
                pongs=[b"p"] * (len(cut) - 1),
            )
    for name, digits in VALID.items():
        text = bytes.fromhex(digits)
        yield legal(f"6 {name}", frame(TEXT, text), echoed=[(TEXT, text)])
        yield legal(f"6 {name} byte by byte", *message(TEXT, *pieces(text, 1)), echoed=[(TEXT, text)])


def invalid() -> Iterator[Case]:
    """Yield cases of invalid UTF-8, which is legal in a binary message."""
    for name, digits in INVALID.items():
        data = bytes.fromhex(digits)
        yield illegal(f"6 {name}", frame(TEXT, data), code=1007)
        yield illegal(f"6 {name} after something", frame(TEXT, KOSME + data + b"edited"), code=1007)
        yield illegal(f"6 {name} byte by byte", *message(TEXT, *pieces(data + b"a", 1)), code=1007)
        yield illegal(
            f"6 {name}, and no more comes",
            frame(TEXT, KOSME, fin=False),
            frame(0, data + b" ", fin=False),
            code=1007,
        )
        yield legal(f"6 {name} in a binary message", frame(BINARY, data), echoed=[(BINARY, data)])
    for name, digits in CUT_OFF.items():
        data = bytes.fromhex(digits)
        yield illegal(f"6 cut off {name}", frame(TEXT, data), code=1007)
        yield illegal(f"6 cut off {name} in fragments", *message(TEXT, data, b""), code=1007)
        yield illegal(f"6 cut off {name} and another", *message(TEXT, data, b"a"), code=1007)
    yield illegal(
        "6 cut off, then another message",
        *message(TEXT, KOSME[:1], KOSME[1:]),
        frame(TEXT, KOSME[:1]),
        frame(TEXT, KOSME[1:]),
        code=1007,
        echoed=[(TEXT, KOSME)],
    )


CASES = (*valid(), *invalid())
