"""Ingest as one would write it in Python: read, hash, drop repeats, decode, append to a Lance table in batches.

    python ingest.py FOLDER OUT

FOLDER is walked in sorted order; OUT is a Lance table that must not exist yet. Prints one JSON document with the keys
images, distinct, refused, seconds, images_per_second and the versions used.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import sys
import time
from pathlib import Path

import lance
import pyarrow as pa
from PIL import Image, __version__ as pillow_version

BATCH = 1024

SCHEMA = pa.schema(
    [
        ("face_id", pa.string()),
        ("image", pa.large_binary()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("source", pa.string()),
    ]
)


def files(folder):
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(root, name)


def append(rows, out):
    batch = pa.Table.from_pylist(rows, schema=SCHEMA)
    lance.write_dataset(batch, out, mode="append" if os.path.exists(out) else "create")


def ingest(folder, out):
    known = set()
    rows = []
    images = refused = 0
    for path in files(folder):
        images += 1
        data = Path(path).read_bytes()
        face_id = hashlib.sha256(data).hexdigest()
        if face_id in known:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                form, (width, height) = image.format, image.size
        except Exception:  # Pillow raises many types for broken files
            refused += 1
            continue
        known.add(face_id)
        rows.append(
            {
                "face_id": face_id,
                "image": data,
                "format": form.lower(),
                "width": width,
                "height": height,
                "source": path,
            }
        )
        if len(rows) == BATCH:
            append(rows, out)
            rows = []
    if rows:
        append(rows, out)
    return images, len(known), refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("out", metavar="OUT")
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.folder):
        sys.exit(f"{arguments.folder}: no such folder")
    if os.path.exists(arguments.out):
        sys.exit(f"{arguments.out} exists; name a table that does not")

    start = time.perf_counter()
    images, distinct, refused = ingest(arguments.folder, arguments.out)
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "images": images,
                "distinct": distinct,
                "refused": refused,
                "seconds": round(seconds, 3),
                "images_per_second": round(images / seconds, 1),
                "versions": {
                    "python": platform.python_version(),
                    "pylance": lance.__version__,
                    "pyarrow": pa.__version__,
                    "pillow": pillow_version,
                },
            }
        )
    )


if __name__ == "__main__":
    main()
