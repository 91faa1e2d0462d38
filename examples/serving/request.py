"""Ask about images from Python with nothing but requests:   python request.py IMAGE... [--url URL]

`attention-keras predict --url` also draws and writes a table; this is all that a program of yours needs.
"""

import argparse
import base64
import sys

import requests


def body(contents: list[bytes]) -> dict:
    """A predict request in TF Serving's row format: one instance a file."""
    encoded = [base64.b64encode(content).decode("ascii") for content in contents]
    return {"signature_name": "serve_bytes", "instances": [{"image_bytes": {"b64": e}} for e in encoded]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--url", default="http://localhost:8501/v1/models/demo")
    options = parser.parse_args()
    contents = []
    for path in options.images:
        with open(path, "rb") as file:
            contents.append(file.read())
    response = requests.post(f"{options.url}:predict", json=body(contents), timeout=10)
    response.raise_for_status()
    for path, row in zip(options.images, response.json()["predictions"]):
        if row["valid"]:
            best = max(range(len(row["probabilities"])), key=row["probabilities"].__getitem__)
            print(f"{path}: class {best} ({row['probabilities'][best]:.1%})")
        else:
            print(f"{path}: no image that can be decoded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
