"""A user's own images: folders and tables, transforms by name, splits, the cache."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trustbench.contracts import SPLITS
from trustbench.contracts.seeding import Streams
from trustbench.datasets.images import Images
from trustbench.datasets.loading.own import decoding
from trustbench.datasets.loading.own.declared import Split
from trustbench.errors import DataError

N = 150


def picture(k, size=(12, 10)):
    """A picture of its own for each number, brighter for even ones."""
    pixels = np.random.default_rng(k).integers(0, 100, (*size, 3)) + (k % 2 == 0) * 100
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder that no test changes."""
    root = tmp_path_factory.mktemp("pictures") / "pets"
    for k in range(2 * N):
        path = root / ("cat" if k % 2 else "dog") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(k).save(path)
    (root / "cat" / "notes.txt").write_text("not an image")
    return root.parent


@pytest.fixture
def folder(tmp_path, pictures):
    shutil.copytree(pictures / "pets", tmp_path / "pets")
    return tmp_path


@pytest.fixture
def table(folder):
    """The same pictures in a table, with a group and a person for each."""
    label = ["cat" if k % 2 else "dog" for k in range(2 * N)]
    frame = pd.DataFrame(
        {"label": label, "path": [f"pets/{c}/{k}.png" for k, c in enumerate(label)]}
    )
    frame["home"] = ["town" if k % 3 else "land" for k in range(2 * N)]
    frame["person"] = [k // 4 for k in range(2 * N)]
    frame.to_csv(folder / "pets.csv", index=False)
    return folder / "pets.csv"


def load(folder, **settings):
    return Images(**{"path": str(folder / "pets"), "image_size": 8, **settings}).load(
        folder / "data", Streams(0)
    )


def test_a_folder_of_classes_is_a_problem_whose_groups_are_the_classes(pictures):
    problem = load(pictures)
    assert problem.X.shape == (2 * N, 3, 8, 8)
    assert problem.classes == problem.groups == ("cat", "dog")
    assert {s: len(problem.splits[s]) for s in SPLITS} == {
        "train": 150, "validation": 30, "calibration": 45, "test": 75,
    }  # fmt: skip
    mean = [problem.X[problem.y == k].mean() * 255 for k in (0, 1)]
    assert mean[0] == pytest.approx(49.5, abs=1)
    assert mean[1] == pytest.approx(149.5, abs=1), "every picture has its own label"
    assert problem.card.description.startswith("300 of 300 images, in colour, scaled to 8 pixels")


def test_pixels_are_those_of_torchvision(pictures):
    """One picture, by hand: a crop of 8 x 8 in grey, which scaling leaves as it is."""
    problem = load(pictures, channels="grey", transforms=({"name": "CenterCrop", "size": 8},))
    assert problem.shape == (1, 8, 8)
    assert len(problem.features) == 64
    ours = {image.tobytes() for image in (problem.X[:, 0] * 255).round().astype(np.uint8)}
    for k in range(5):
        grey = np.asarray(picture(k).convert("L"))[2:10, 1:9]
        assert grey.tobytes() in ours


def test_a_table_gives_paths_labels_and_groups(folder, table):
    problem = load(folder, path=str(table), sensitive=("home",), classes=("dog", "cat"))
    assert problem.classes == ("dog", "cat")
    assert (problem.group_name, problem.groups) == ("home", ("land", "town"))
    assert np.bincount(problem.group).tolist() == [100, 200]
    assert {x.tobytes() for x in problem.X} == {x.tobytes() for x in load(folder).X}


def test_a_column_keeps_people_in_one_part(folder, table):
    split = Split(by="group", column="person")
    problem = load(folder, path=str(table), split=split, cache=False)
    person = {
        picture(k).resize((8, 8), Image.Resampling.BILINEAR).tobytes(): k // 4 for k in range(2 * N)
    }
    by_part = [
        {person[x.tobytes()] for x in np.moveaxis(images(problem, s), 1, -1)} for s in SPLITS
    ]
    assert sum(map(len, by_part)) == len(set.union(*by_part)) == N // 2


def images(problem, split):
    return (problem.X[problem.splits[split]] * 255).round().astype(np.uint8)


def test_the_folders_train_and_test_are_the_split(folder):
    for k in range(120):
        for part, n in (("train", 80), ("test", 40)):
            path = folder / "parts" / part / "ab"[k % 2] / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if k < n:
                picture(k + 1000 * (part == "test")).save(path)
    problem = load(
        folder, path=str(folder / "parts"), split=Split(test=0.3, calibration=0.25, validation=0.25)
    )
    assert problem.classes == ("a", "b")
    assert len(problem.splits["test"]) == 40
    assert len(problem.X) == 120


def test_decoded_images_are_kept_until_a_file_or_a_setting_changes(folder, capsys):
    first = load(folder, subsample=240)
    kept = list((folder / "data" / "images-cache").iterdir())
    assert len(kept) == 1
    zeros = np.zeros_like(np.load(kept[0]))
    decoding._keep(kept[0], zeros)
    assert load(folder, subsample=240).X.max() == 0, "read from the cache"
    np.save(kept[0], zeros)
    assert load(folder, subsample=240).X.max() > 0, "not as it was written"
    assert "they are decoded again" in capsys.readouterr().err
    assert load(folder, subsample=240, channels="grey").X.max() > 0
    state = Images(path=str(folder / "pets")).state(folder)
    picture(500).save(folder / "pets" / "cat" / "1.png")
    assert Images(path=str(folder / "pets")).state(folder) != state
    assert load(folder, subsample=240).X.max() > 0
    assert first.X.shape == (240, 3, 8, 8)


def test_copies_in_two_parts_are_reported_or_kept_together(folder):
    for k in range(1, 2 * N, 2):
        picture(1).save(folder / "pets" / "cat" / f"{k}.png")
    assumed, copied = load(folder).warnings
    assert "so dog, the last of cat and dog, is taken as favourable" in assumed
    assert "images have a copy in another part of the split" in copied
    declared = {"classes": ("dog", "cat")}
    assert "images have a copy" in load(folder, **declared).warnings[0]
    for k in range(1, 2 * N, 2):
        picture(k if k > 20 else 1).save(folder / "pets" / "cat" / f"{k}.png")
    assert load(folder, **declared).warnings == (), "a few copies are kept in one part"


WRONG = {
    "nothing": ({"path": None}, "name a folder or a CSV with dataset.path=FILE"),
    "nowhere": ({"path": "nowhere"}, "there is nothing at .*nowhere.*; correct dataset.path"),
    "no images": ({"path": "data"}, "holds no images in folders of classes; give a folder such as"),
    "groups of a folder": (
        {"sensitive": ("sex",)},
        "a folder names no sex; give dataset.path a CSV",
    ),
    "unknown class": (
        {"classes": ("dig", "cat")},
        r"names 'dig', which no image has; did you mean 'dog'\?",
    ),
    "half of the classes": ({"classes": ("dog",)}, "leaves out cat; give the order of all"),
    "unknown transform": (
        {"transforms": ({"name": "CentreCrop"},)},
        r"names 'CentreCrop'; did you mean 'CenterCrop'\?",
    ),
    "random transform": (
        {"transforms": ({"name": "RandomCrop", "size": 8},)},
        "random transforms are refused",
    ),
    "wrong arguments": (
        {"transforms": ({"name": "CenterCrop"},)},
        r"gives CenterCrop no arguments .*\{name: CenterCrop, size: 178\}",
    ),
    "too few": (
        {"split": Split(test=0.01)},
        "dataset images: the test part has 3 rows, fewer than 20",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_loaded_gets_one_sentence(pictures, name, monkeypatch):
    monkeypatch.chdir(pictures)
    (pictures / "data").mkdir(exist_ok=True)
    settings, says = WRONG[name]
    with pytest.raises(DataError, match=says) as caught:
        load(pictures, cache=False, **settings)
    assert "\n" not in str(caught.value)


def test_broken_files_and_tables_get_one_sentence(folder, table):
    (folder / "pets" / "cat" / "3.png").write_bytes(b"\x89PNG and then nothing")
    with pytest.raises(DataError, match=r"cat/3\.png cannot be read as an image"):
        load(folder)
    frame = pd.read_csv(table)
    for changed, says in (
        (frame.rename(columns={"label": "Label"}), r"no column 'label'; did you mean 'Label'\?"),
        (frame.assign(label=frame["label"].where(frame.index != 4)), "row 5 of .* has no label"),
        (frame.replace("pets/cat/1.png", "pets/cat/x.png"), "names 1 images that are not there"),
        (frame.assign(label="cat"), "all images are of the class 'cat'"),
    ):
        changed.to_csv(table, index=False)
        with pytest.raises(DataError, match=says):
            load(folder, path=str(table))
