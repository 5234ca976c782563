#!/usr/bin/env python3
"""Writes a folder of bad inputs and prints, as JSON, what should become of each.

    bad_inputs.py OUTDIR              makes the folder (it must not exist, or be empty)
    bad_inputs.py OUTDIR --growing    writes OUTDIR/growing.jpg in pieces over three seconds

The listing maps a name to {"expected": "accepted" | "refused" | "skipped", "code": …}. Names are encoded as Marginalia
stores them: bytes that are not UTF-8, and "%", as %XX. "code" is the reason in the table `rejects`. Needs Pillow.
"""

import argparse
import io
import json
import os
import random
import struct
import sys
import time
import zlib

from PIL import Image, ImageDraw

CUTS = 20


def face(seed, size=(64, 64), mode="RGB"):
    """A head with eyes and a mouth, different for every seed."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(40, 220) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    w, h = size
    draw.ellipse([w * 0.2, h * 0.1, w * 0.8, h * 0.95], fill=tuple(rng.randrange(120, 250) for _ in range(3)))
    for x in (0.38, 0.62):
        draw.ellipse([w * (x - 0.06), h * 0.38, w * (x + 0.06), h * 0.46], fill=(20, 20, 30))
    draw.arc([w * 0.35, h * 0.55, w * 0.65, h * (0.7 + rng.random() * 0.15)], 0, 180, fill=(150, 30, 40), width=3)
    for _ in range(200):  # Texture, so that no format compresses it to nothing.
        image.putpixel((rng.randrange(w), rng.randrange(h)), tuple(rng.randrange(256) for _ in range(3)))
    return image.convert(mode)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width, height):
    """A valid one-bit PNG of any size, its pixels compressed row by row: small on disk, huge when decoded."""
    compress = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(compress.compress(row) for _ in range(height)) + compress.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def jpeg_claiming(width, height):
    """A small JPEG whose frame header claims another size."""
    data = bytearray(encoded(face(1), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def rotated_jpeg():
    """40 wide and 64 high as stored, to be shown turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(face(2, (40, 64)), "JPEG", exif=exif)


def damaged_png():
    data = bytearray(encoded(face(3), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def contents():
    """Name -> (bytes, expected, code)."""
    files = {}

    def add(name, data, expected, code=None):
        files[name] = (data, expected, code)

    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP"}
    for i in range(10):
        extension = list(formats)[i % 4]
        add(f"good_{i:02}.{extension}", encoded(face(100 + i), formats[extension]), "accepted")
    for extension, kind in formats.items():
        whole = encoded(face(7), kind)
        for cut in range(1, CUTS + 1):
            add(f"cut_{cut:02}.{extension}", whole[: len(whole) * cut // (CUTS + 1)], "refused", "truncated")
    jpeg = encoded(face(8), "JPEG")
    add("cut_last_byte.jpg", jpeg[:-1], "refused", "truncated")
    add("cut_end_marker.jpg", jpeg[:-2], "refused", "truncated")
    add("zeros_at_the_end.jpg", jpeg[: len(jpeg) // 2] + bytes(len(jpeg) - len(jpeg) // 2), "refused", "truncated")
    add("bytes_after_the_end.jpg", jpeg + b"more" * 10, "accepted")
    progressive = encoded(face(9), "JPEG", progressive=True)
    add("progressive.jpg", progressive, "accepted")
    add("progressive_cut.jpg", progressive[: len(progressive) * 3 // 4], "refused", "truncated")
    add("empty.jpg", b"", "refused", "empty")
    add("text.jpg", b"This was never an image.\n", "refused", "not_an_image")
    add("page.png", b"<!doctype html><title>404</title>", "refused", "not_an_image")
    add("random.png", random.Random(5).randbytes(4096), "refused", "not_an_image")
    add("gif.gif", encoded(face(10), "GIF"), "refused", "unsupported_format")
    add("tiff.jpg", encoded(face(11), "TIFF"), "refused", "unsupported_format")
    add("png_called.jpg", encoded(face(12), "PNG"), "accepted")
    add("UPPER.JPG", encoded(face(13), "JPEG"), "accepted")
    add("without_extension", encoded(face(14), "JPEG"), "accepted")
    add("bomb.png", png_of_zeros(30_000, 30_000), "refused", "too_large")
    add("claims_60000.jpg", jpeg_claiming(60_000, 60_000), "refused", "too_large")
    add("damaged.png", damaged_png(), "refused", "corrupt")
    add("cmyk.jpg", encoded(face(15, mode="CMYK"), "JPEG"), "accepted")
    add("grey.jpg", encoded(face(16, mode="L"), "JPEG"), "accepted")
    grey = face(17, mode="L")
    add("grey16.png", encoded(Image.frombytes("I;16", grey.size, bytes(b for v in grey.tobytes() for b in (v, v))), "PNG"), "accepted")
    add("palette.png", encoded(face(18).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), "accepted")
    transparent = face(19, mode="RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(transparent.size))
    add("transparent.png", encoded(transparent, "PNG"), "accepted")
    frames = [face(20 + i) for i in range(3)]
    for name, kind in (("animated.webp", "WEBP"), ("animated.png", "PNG")):
        add(name, encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100), "accepted")
    add("rotated.jpg", rotated_jpeg(), "accepted")
    add("100%.jpg", encoded(face(30), "JPEG"), "accepted")
    add("notes.txt", b"Not an image and not meant to be one.\n", "skipped")
    add(".DS_Store", b"\0\0\0\1Bud1", "skipped")
    add("._good_00.jpg", b"\0\5\26\7", "skipped")
    add("Thumbs.db", b"\xd0\xcf\x11\xe0", "skipped")
    return files


def name_of(raw):
    """The name as Marginalia stores it."""
    out = []
    for char in os.fsdecode(raw):
        if char == "%":
            out.append("%25")
        elif 0xDC80 <= ord(char) <= 0xDCFF:
            out.append(f"%{ord(char) - 0xDC00:02X}")
        else:
            out.append(char)
    return "".join(out)


def write_all(folder):
    listing = {}
    for name, (data, expected, code) in contents().items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        listing[name_of(name)] = {"expected": expected, "code": code} if code else {"expected": expected}

    raw = b"not_utf8_\xff\xfe.jpg"
    with open(os.path.join(os.fsencode(folder), raw), "wb") as file:
        file.write(encoded(face(31), "JPEG"))
    listing[name_of(raw)] = {"expected": "accepted"}

    locked = os.path.join(folder, "locked.jpg")
    with open(locked, "wb") as file:
        file.write(encoded(face(32), "JPEG"))
    os.chmod(locked, 0)
    # Permissions do not hold root back.
    root = os.geteuid() == 0
    listing["locked.jpg"] = {"expected": "accepted"} if root else {"expected": "refused", "code": "unreadable"}

    os.mkdir(os.path.join(folder, "folder.jpg"))
    os.mkfifo(os.path.join(folder, "pipe.jpg"))
    os.symlink("nowhere.jpg", os.path.join(folder, "broken_link.jpg"))
    os.symlink("loop_b.jpg", os.path.join(folder, "loop_a.jpg"))
    os.symlink("loop_a.jpg", os.path.join(folder, "loop_b.jpg"))
    os.symlink(".", os.path.join(folder, "loop_folder"))
    os.symlink("good_00.jpg", os.path.join(folder, "link.jpg"))
    os.symlink("/etc", os.path.join(folder, "link_outside"))
    for name in ("pipe.jpg", "broken_link.jpg", "loop_a.jpg", "loop_b.jpg", "loop_folder", "link.jpg", "link_outside"):
        listing[name] = {"expected": "skipped"}
    return listing


def write_growing(folder):
    data = encoded(face(40, (512, 512)), "JPEG", quality=95)
    pieces = 30
    with open(os.path.join(folder, "growing.jpg"), "wb") as file:
        for i in range(pieces):
            file.write(data[len(data) * i // pieces : len(data) * (i + 1) // pieces])
            file.flush()
            time.sleep(3 / pieces)
    return {"growing.jpg": {"expected": "accepted"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", metavar="OUTDIR")
    parser.add_argument("--growing", action="store_true", help="write one file in pieces over three seconds")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.growing:
        listing = write_growing(arguments.folder)
    elif os.listdir(arguments.folder):
        sys.exit(f"{arguments.folder} is not empty; name a new folder")
    else:
        listing = write_all(arguments.folder)
    json.dump(listing, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
