"""Tables of images: what a file says, which side each image is on, and a run from bytes to its numbers."""

import csv
import json
import os
import time
from typing import get_args

import numpy as np
import pandas
import pytest
from PIL import ExifTags, Image

from attention_keras.commands.main import main
from attention_keras.data.datasets import load_dataset, load_unseen
from attention_keras.data.images import PictureFormat
from attention_keras.data.registry import Resize
from attention_keras.data.rows import BoxMasks
from attention_keras.data.table_file import read_files, read_table
from attention_keras.errors import UserError

SIDE = 16


def draw(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype="uint8")
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """120 images in CLASS/PATIENT/IMAGE: 30 patients, two images of each in both classes."""
    folder = tmp_path_factory.mktemp("desk") / "photos"
    for number in range(120):
        draw(folder / "ab"[number % 2] / f"p{number // 4:02}" / f"{number}.png", number)
    return folder


def write(file, rows, header="path,label"):
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def sides(name, **options):
    files = load_dataset(name, image_size=SIDE, **options).files
    return {path: record.role for path, record in files.items()}


def test_a_folder_and_the_table_of_it_are_one_dataset(photos, tmp_path, capsys):
    table = tmp_path / "photos.csv"
    assert main(["table", f"folder:{photos}", "--output", str(table)]) == 0
    assert "120 images of 2 classes" in capsys.readouterr().out
    assert table.read_text().splitlines()[0] == "path,label"
    datasets = [load_dataset(name, image_size=SIDE) for name in (f"folder:{photos}", f"table:{table}")]
    for one, other in zip(*((d.train, d.validation, d.test()) for d in datasets)):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    with pytest.raises(UserError, match="File exists"):
        main(["table", f"folder:{photos}", "--output", str(table)])


def test_every_kind_of_file_says_the_same(tmp_path):
    header = ("file", "label", "split", "patient", "left", "top", "right", "bottom")
    rows = [("x, y.png", "a", "val", "007", "1", "2", "3.5", "4"), ("é.png", "b", "", "", "", "", "", "")]
    kinds = {"comma.csv": (",", "utf-8"), "semicolon.csv": (";", "utf-8-sig"), "tab.tsv": ("\t", "utf-8")}
    for name, (delimiter, encoding) in kinds.items():
        with (tmp_path / name).open("w", encoding=encoding, newline="") as stream:
            csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    records = [dict(zip(header, row)) for row in rows]
    records[0] |= {"left": 1, "top": 2.0, "right": 3.5, "bottom": 4}
    records[1] = {"file": "é.png", "label": "b", "patient": None}
    lines = "\n\n".join(json.dumps(record) for record in records)
    (tmp_path / "lines.jsonl").write_text(lines, encoding="utf-8")
    pandas.DataFrame([dict.fromkeys(header) | record for record in records]).to_parquet(
        tmp_path / "rows.parquet"
    )
    for name in (*kinds, "lines.jsonl", "rows.parquet"):
        table = read_table(tmp_path / name, ("path=file", "group=patient"))
        order = np.argsort(table.labels)
        assert table.class_names == ("a", "b") and table.root == tmp_path, name
        assert table.paths[order].tolist() == ["x, y.png", "é.png"], name
        assert table.roles[order].tolist() == ["validation", "train"], name
        assert table.groups[order].tolist() == ["007", ""], name
        assert table.boxes[order].tolist() == [[1, 2, 3.5, 4], [0, 0, 0, 0]], name


def test_bytes_that_are_no_text_are_the_name_of_a_file(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"path,label\n\xff.png,a\n1.png,b\n")
    assert os.fsencode(read_table(tmp_path / "t.csv").paths[0]) == b"\xff.png"


def test_what_is_wrong_is_told_with_file_and_row(tmp_path):
    box = "path,label,left,top,right,bottom"
    wrong = [
        ("t.csv", "path,label\na.png,x\n,y\n", "row 3: '' is no path"),
        ("t.csv", "path,label\na.png,x\n\nb.png,  \n", "row 4: label '  ' is not a line"),
        ("t.csv", 'path,label\na.png,x\nb.png,"y\nz"\n', "row 3: label 'y.nz' is not a line"),
        ("t.csv", "path,label\na.png,x\na.png,y\n", "row 3: 'a.png' is in a row before; keep one"),
        ("t.csv", "path,label\na.png,x,1\n", "Expected 2 fields in line 2, saw 3"),
        ("t.csv", "path,label,split\na.png,x,dev\n", "row 2: split 'dev' must be train, validation or test"),
        ("t.csv", "path,label,weight\na.png,x,-1\n", "row 2: weight '-1' must be above 0"),
        ("t.csv", f"{box}\na.png,x,1,2,3,\n", "row 2: left, top, right, bottom must be numbers"),
        ("t.csv", f"{box}\na.png,x,5,2,3,9\n", "left < right and top < bottom; got 5, 2, 3, 9"),
        ("t.csv", f"{box},mask\na.png,x,1,2,3,4,m.png\n", "row 2: it has a mask and a box"),
        ("t.csv", "file,label\na.png,x\n", "column 'path' and has 'file', 'label'; .*columns path=NAME"),
        ("t.csv", "", "No columns to parse from file"),
        ("t.csv", "path,label\n", "has no rows"),
        ("t.csv", "path,label\na.png,x\n", "has one label only, 'x'"),
        ("t.jsonl", '{"path": "a.png", "label": "x"}\n[1]\n', "row 2 is no JSON object"),
        ("t.jsonl", '{"path": "a.png", "label": ["x"]}\n', r"row 1: \['x'\] is neither a text nor"),
        ("t.jsonl", '{"path"\n', "row 1 is no JSON object"),
        ("t.jsonl", "[" * 100_000 + "\n", "row 1 is no JSON object"),
        ("t.parquet", "PAR1", "cannot read .*t.parquet"),
        ("t.xlsx", "", "save it as one of .csv"),
    ]
    for name, text, said in wrong:
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=said):
            read_table(tmp_path / name)
    (tmp_path / "t.jsonl").write_text('{"path": "a", "label": "x"}\n{"path": "b", "label": "y"}\n')
    with pytest.raises(UserError, match=r"one column 'patient' .*columns group=NAME"):
        read_table(tmp_path / "t.jsonl", ("group=patient",))
    for words in (("species",), ("kind=species",), ("label=",), ("group",)):
        with pytest.raises(UserError, match="columns are such as label=species"):
            read_table(tmp_path / "t.jsonl", words)
    with pytest.raises(UserError, match=r"cannot read .*gone"):
        read_table(tmp_path / "gone.csv")


def test_a_group_stays_on_its_side(photos, tmp_path):
    files = sorted(photos.rglob("*.png"))
    rows = [f"{file},{file.parts[-3]},{file.parts[-2]}" for file in files]
    few = sides(f"table:{write(tmp_path / 'few.csv', rows[::2], 'path,label,group')}")
    all_ = sides(f"table:{write(tmp_path / 'all.csv', rows, 'path,label,group')}")
    folder = sides(f"folder:{photos}", group_by="parent")
    alone = sides(f"folder:{photos}")
    of_group = {}
    for path, role in all_.items():
        assert few.get(path, role) == role, "it moved when the table grew"
        assert folder["/".join(path.split("/")[-3:])] == role, "the folders below a class are groups"
        assert of_group.setdefault(path.split("/")[-2], role) == role
    assert set(of_group.values()) == {"train", "validation", "test"}
    apart = sides(f"table:{tmp_path / 'all.csv'}", columns=("group=",))
    assert {"/".join(path.split("/")[-3:]): role for path, role in apart.items()} == alone
    patients = [{path.split("/")[1] for path, r in alone.items() if r == role} for role in ("train", "test")]
    assert patients[0] & patients[1], "images alone are split whatever their patient"
    given = [f"{row},{'train' if number % 3 else 'test'}" for number, row in enumerate(rows)]
    with pytest.raises(UserError, match=r"group 'p\d\d' is in (train|test) and in (train|test)"):
        sides(f"table:{write(tmp_path / 'given.csv', given, 'path,label,group,split')}")
    draw(photos.parent / "flat" / "a" / "1.png", 1)
    with pytest.raises(UserError, match=r"1\.png is in no group; group_by parent needs"):
        read_files(f"folder:{photos.parent / 'flat'}", group_by="parent")


def test_a_box_goes_where_its_pixels_go(tmp_path):
    """The object is white; a camera that was turned leaves the image lying and says so."""
    rows = []
    for number, (height, width) in enumerate([(60, 120), (120, 60), (64, 64)] * 4):
        left, top = 8 * (number % 3) + 12, 4 * (number % 5) + 16
        pixels = np.zeros((height, width, 3), "uint8")
        pixels[top : top + 24, left : left + 32] = 255
        exif, image = Image.Exif(), Image.fromarray(pixels)
        if number % 2:
            exif[ExifTags.Base.Orientation] = 6
            image = image.transpose(Image.Transpose.ROTATE_90)
        image.save(tmp_path / f"{number}.png", exif=exif)
        rows.append(f"{number}.png,{'ab'[number % 2]},{left},{top},{left + 32},{top + 24}")
    table = write(tmp_path / "t.csv", rows, "path,label,left,top,right,bottom")
    for resize in get_args(Resize):
        test = load_unseen(f"table:{table}", PictureFormat((32, 32), resize)).test()
        masks = BoxMasks(test.boxes, (32, 32))[:]
        shown = test.images[..., 0] > 127
        assert shown.any(axis=(1, 2)).all() and (masks != shown).mean() < 0.005, resize


@pytest.mark.slow
def test_a_million_rows_are_read_within_ten_seconds(tmp_path):
    rows = (f"{i // 1000}/{i}.jpg,c{i % 100},p{i // 7}" for i in range(10**6))
    table = write(tmp_path / "t.csv", rows, "path,label,group")
    begin = time.process_time()
    assert len(read_table(table)) == 10**6
    assert time.process_time() - begin < 10
