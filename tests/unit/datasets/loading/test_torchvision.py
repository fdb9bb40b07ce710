"""The torchvision loaders on small files of torchvision's own layouts."""

import hashlib
import pickle

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from trustbench.contracts import SPLITS
from trustbench.contracts.seeding import Streams
from trustbench.datasets.celeba import CelebA
from trustbench.datasets.cifar10 import Cifar10
from trustbench.datasets.fashion_mnist import FashionMnist
from trustbench.datasets.mnist import Mnist
from trustbench.errors import DataError

ATTRIBUTES = ("Bald", "Male", "Smiling", "Young")


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def write_mnist(root, n_train=400, n_test=100, side=28):
    rng = np.random.default_rng(0)
    for prefix, n in (("train", n_train), ("t10k", n_test)):
        y = np.arange(n) % 10
        images = rng.integers(256, size=(n, side, side))
        images[:, 0, 0] = y  # the label is written into the first pixel
        write_idx(root / f"{prefix}-images-idx3-ubyte", images)
        write_idx(root / f"{prefix}-labels-idx1-ubyte", y)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A tiny CIFAR-10 whose checksums torchvision believes to be the official ones."""
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    def batch(n):
        y = np.arange(n) % 10
        data = rng.integers(256, size=(n, 3072), dtype=np.uint8)
        data[:, 0] = y  # first pixel of the red channel
        return {"data": data, "labels": y.tolist()}

    train = [[f"data_batch_{k}", write(f"data_batch_{k}", batch(80))] for k in range(1, 6)]
    test = [["test_batch", write("test_batch", batch(100))]]
    names = {"label_names": [f"class{k}" for k in range(10)]}
    meta = {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", names)}
    for name, value in (("train_list", train), ("test_list", test), ("meta", meta)):
        monkeypatch.setattr(torchvision.datasets.CIFAR10, name, value)
    return tmp_path


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A tiny CelebA: 200 training, 80 validation and 60 test faces, all of one colour each."""
    folder = tmp_path / "celeba" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{i:06d}.jpg" for i in range(340)]
    partition = np.repeat([0, 1, 2], [200, 80, 60])
    flags = np.where(rng.random((340, 4)) < 0.5, 1, -1)
    for name, flag in zip(names, flags, strict=True):
        colour = (200 if flag[2] == 1 else 40, 100, 200 if flag[1] == 1 else 40)
        Image.new("RGB", (178, 218), colour).save(folder / "img_align_celeba" / name)

    def table(name, rows, header=None):
        lines = [] if header is None else [str(len(rows)), header]
        lines += [" ".join([n, *map(str, r)]) for n, r in zip(names, rows, strict=True)]
        (folder / name).write_text("\n".join(lines) + "\n")

    table("list_eval_partition.txt", partition[:, None])
    table("identity_CelebA.txt", np.arange(340)[:, None])
    table("list_bbox_celeba.txt", np.zeros((340, 4), dtype=int), "image_id x y w h")
    table("list_landmarks_align_celeba.txt", np.zeros((340, 10), dtype=int), "a b c d e f g h i j")
    table("list_attr_celeba.txt", flags, " ".join(ATTRIBUTES))
    official = [
        (key, hashlib.md5((folder / name).read_bytes()).hexdigest(), name)
        for key, _, name in torchvision.datasets.CelebA.file_list
        if name.endswith(".txt")
    ]
    monkeypatch.setattr(torchvision.datasets.CelebA, "file_list", official)
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "name"), [(Mnist(), "MNIST"), (FashionMnist(), "FashionMNIST")]
)
def test_mnist_layouts_are_read_with_their_labels(tmp_path, dataset, name):
    write_mnist(tmp_path / dataset.folder / name / "raw")
    problem = dataset.load(tmp_path, Streams(0))
    assert problem.shape == (1, 28, 28)
    assert np.array_equal(np.rint(problem.X[:, 0, 0, 0] * 255).astype(int), problem.y)
    assert {s: len(problem.splits[s]) for s in SPLITS} == {
        "train": 280 - (25 if name == "MNIST" else 0),
        "validation": 40,
        "calibration": 80,
        "test": 100,
    }


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        (
            "train-labels-idx1-ubyte",
            lambda b: b[:20] + bytes([77]) + b[21:],
            "training label of .*/MNIST/raw .*: '77' in 1 row .first on image 13.; known: 0, 1, 2,",
        ),
        ("t10k-labels-idx1-ubyte", lambda b: b[:-1] + bytes([10]), "test label .* on image 100"),
        ("train-labels-idx1-ubyte", lambda b: b[:7] + bytes([143]) + b[8:-1], "399 labels for 400"),
        ("train-images-idx3-ubyte", lambda b: b[:2] + bytes([9]) + b[3:], "torchvision cannot"),
    ],
    ids=["unknown class", "unknown class in the test part", "a label too few", "signed bytes"],
)
def test_labels_of_no_class_or_no_image_are_refused(tmp_path, file, change, says):
    """One label too few would give every test image that of its neighbour."""
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    write_mnist(raw)
    path = raw / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=says):
        Mnist(subsample=200).load(tmp_path, Streams(0))


def test_images_of_two_sizes_are_refused(tmp_path):
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    write_mnist(raw)
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((100, 14, 14)))
    with pytest.raises(DataError, match="28x28 in the training part and 14x14 in the test part"):
        Mnist().load(tmp_path, Streams(0))


def test_cifar_keeps_channels_apart(cifar):
    problem = Cifar10(subsample=400).load(cifar, Streams(0))
    assert problem.shape == (3, 32, 32)
    assert len(problem.X) == 400
    assert problem.classes[3] == "class3"
    assert np.array_equal(np.rint(problem.X[:, 0, 0, 0] * 255).astype(int), problem.y)
    assert (problem.X[:, 1, 0, 0] * 255 > 20).mean() > 0.8
    assert problem.features[1024].name == "pixel_1_0_0"


def test_a_cifar_pickle_that_is_not_the_official_one_is_not_opened(cifar):
    """A pickle runs code when it is opened: a foreign checksum must be refused before."""
    path = cifar / "cifar10" / "cifar-10-batches-py" / "data_batch_2"
    marker = cifar / "opened"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="torchvision cannot read"):
        Cifar10(subsample=None).load(cifar, Streams(0))
    assert not marker.exists()


def test_even_an_official_cifar_pickle_runs_nothing(cifar, monkeypatch):
    """Should a checksum ever be forged: the reader makes arrays and calls nothing else."""
    folder, marker = cifar / "cifar10" / "cifar-10-batches-py", cifar / "opened"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    for content in ({"data": Bomb(), "labels": [0]}, Bomb(), {"data": [1], "labels": [eval]}):
        data = pickle.dumps(content)
        (folder / "data_batch_1").write_bytes(data)
        listed = torchvision.datasets.CIFAR10.train_list
        forged = [["data_batch_1", hashlib.md5(data).hexdigest()], *listed[1:]]
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list", forged)
        with pytest.raises(DataError, match=r"data_batch_1: it names .* which is not allowed"):
            Cifar10(subsample=None).load(cifar, Streams(0))
        assert not marker.exists()


def test_cifar_is_checked_as_a_whole(cifar):
    (cifar / "cifar10" / "cifar-10-batches-py" / "test_batch").write_bytes(b"cut off")
    with pytest.raises(DataError, match="test_batch is not the published file"):
        Cifar10(subsample=None).read(cifar, train=True)


def test_cifar_is_fetched_without_opening_a_pickle(cifar, monkeypatch):
    asked = []

    def opened(*args, **kwargs):
        raise AssertionError("torchvision's own reader opens pickles")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "__init__", opened)
    monkeypatch.setattr(
        torchvision.datasets.CIFAR10, "download", lambda self: asked.append(self.root)
    )
    assert Cifar10().download(cifar) == cifar / "cifar10"
    assert asked == [str(cifar / "cifar10")]


def test_celeba_reads_two_attributes_and_the_official_partition(faces):
    problem = CelebA(image_size=16, subsample=None).load(faces, Streams(0))
    assert problem.shape == (3, 16, 16)
    assert {s: len(problem.splits[s]) for s in SPLITS} == {
        "train": 200,
        "validation": 40,
        "calibration": 40,
        "test": 60,
    }
    assert (problem.classes, problem.groups) == (("not Smiling", "Smiling"), ("not Male", "Male"))
    # The colours were written from the attributes: red says smiling, blue says male.
    assert np.array_equal((problem.X[:, 0, 8, 8] > 0.5).astype(int), problem.y)
    assert np.array_equal((problem.X[:, 2, 8, 8] > 0.5).astype(int), problem.group)


def test_celeba_decodes_only_the_subsample(faces):
    problem = CelebA(image_size=8, subsample=200).load(faces, Streams(0))
    assert len(problem.X) == 200
    assert "200 images" in problem.card.description


def test_an_attribute_that_is_neither_1_nor_minus_1_is_refused_by_its_checksum(faces):
    path = faces / "celeba" / "celeba" / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace(" 1", " 0", 1))
    with pytest.raises(DataError, match=r"torchvision cannot read .*corrupted"):
        CelebA().load(faces, Streams(0))


@pytest.mark.parametrize("change", ["missing", "cut off"])
def test_a_face_that_cannot_be_decoded_is_named(faces, change):
    path = faces / "celeba" / "celeba" / "img_align_celeba" / "000007.jpg"
    path.unlink() if change == "missing" else path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(
        DataError, match=r"torchvision cannot read .*000007\.jpg .*data fetch celeba"
    ):
        CelebA(subsample=None).load(faces, Streams(0))


@pytest.mark.parametrize("field", ["target", "sensitive"])
def test_an_unknown_attribute_gets_the_near_name(faces, field):
    with pytest.raises(DataError, match=rf"{field}=Yung is not an attribute; did you mean 'Young'"):
        CelebA(**{field: "Yung"}).load(faces, Streams(0))


@pytest.mark.parametrize("dataset", [FashionMnist(), Cifar10(), CelebA()], ids=repr)
def test_missing_images_say_where_and_what_to_do(tmp_path, dataset):
    with pytest.raises(DataError, match=r"there is no .*trustbench data fetch \w+"):
        dataset.load(tmp_path, Streams(0))
