"""Seconds and memory of radiomics: ours beside MIRP and PyRadiomics.

    python -m benchmarks.radiomics --case liver [--image FILE --mask FILE --label L]
    python -m benchmarks.radiomics --case slices [--slices 600]

A whole liver at 1 mm, or many of its slices one by one, all families, 32 grey levels.
Each contender is a process of its own, which imports and warms up before its clock
starts; PyRadiomics is raced with our preset of its names. Rivals are cut after `--cut`
seconds and count as that. Before the race every feature that two share is compared on a
smaller piece. Without a scan, a body of a liver's size and unevenness stands in.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import results, stats
from liverjax.radiomics import Settings, extract
from liverjax.radiomics.region import crop, resample

LEVELS = 32
ONE_MM = (1.0, 1.0, 1.0)
MARGIN_PX = (10, 10, 10)  # the balls of the local peaks lie inside
MIN_PIXELS = 64
# Not compared: MIRP draws voxels for the first two where a region is large (ours take
# all pairs), and sees air where the balls of the others leave the image.
OTHERWISE = {"morph_moran_i", "morph_geary_c", "loc_peak_loc", "loc_peak_glob"}
RIVALS = {"mirp": ("MIRP", "ours"), "radiomics": ("PyRadiomics", "ours_pyradiomics")}
PLANAR = ("2D_avg", "2D_comb")

Work = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def main(argv: list[str] | None = None) -> None:
    args = parse_arguments(argv)
    if args.contender:
        run_child(args)
        return
    volume, mask = liver(args.image, mask=args.mask, label=args.label)
    pieces = pieces_of(volume, mask, case=args.case, slices=args.slices)
    present = [name for name in RIVALS if importlib.util.find_spec(name)]
    absent = [RIVALS[name][0] for name in RIVALS if name not in present]
    if absent:
        print(f"not installed, so not measured: {', '.join(absent)}")
    ratios: dict[str, Any] = {}
    measures: dict[str, Any] = {
        "voxels": int(sum(inside.sum() for _, inside in pieces)),
        "pieces": len(pieces),
        "cut_s": args.cut,
        "from_a_real_scan": int(args.image is not None),
        "absent": ", ".join(absent),
    }
    small = small_piece(pieces[len(pieces) // 2])
    told = {name: shared_values(args.case, name, small) for name in present}
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "pieces.npz"
        flat = {
            f"i{k}": image.astype(np.float32) for k, (image, _) in enumerate(pieces)
        }
        flat |= {f"m{k}": inside for k, (_, inside) in enumerate(pieces)}
        np.savez(data, **flat)
        for name in present:
            label, ours = RIVALS[name]
            found = {
                who: race(who, data=data, case=args.case, cut=args.cut)
                for who in (ours, name)
            }
            cut = " (cut)" if found[name]["cut"] else ""
            for part, unit in (("seconds", "s"), ("peak_mb", "MB")):
                ratios[f"{args.case}, {label}{cut}, {part}"] = results.ratio(
                    ours=found[ours][part],
                    rival=found[name][part],
                    unit=unit,
                    more_is_better=False,
                )
            measures[f"{label}, was_cut"] = int(found[name]["cut"])
            measures[f"{label}, pieces_done"] = found[name]["done"]
            measures[f"{label}, features_that_agree"] = told[name]
    path = results.write(
        f"radiomics-{args.case}",
        command=f"python -m benchmarks.radiomics --case {args.case} --cut {args.cut:g}"
        + (" --image FILE --mask FILE" if args.image else ""),
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("mirp", "pyradiomics", "SimpleITK"),
    )
    for label, row in ratios.items():
        print(
            f"{label}: ours {row['ours']}, rival {row['rival']}: {row['ratio']} times"
        )
    print(path)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=("liver", "slices"), required=True)
    parser.add_argument("--image", help="of a real scan")
    parser.add_argument("--mask", help="its label map, on the same grid")
    parser.add_argument("--label", type=int, default=1, help="the liver's in it")
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--cut", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def liver(
    path: str | None, *, mask: str | None, label: int
) -> tuple[np.ndarray, np.ndarray]:
    """A liver's whole HU and its mask on a grid of 1 mm, cut to its box."""
    if path is None:
        inside, spacing_mm = stats.liver_mask(None, label=label)
        noise = np.random.default_rng(0).normal(100, 30, inside.shape)
        image = noise
    else:
        import SimpleITK

        scan = SimpleITK.ReadImage(path)
        image = SimpleITK.GetArrayFromImage(scan).astype(float)
        inside, spacing_mm = stats.liver_mask(mask, label=label)
    image = resample(image, old_mm=spacing_mm, new_mm=ONE_MM, kind="linear")
    part = resample(
        inside.astype(float), old_mm=spacing_mm, new_mm=ONE_MM, kind="linear"
    )
    box = crop(part >= 0.5, margin=MARGIN_PX)
    return np.rint(image[box]), part[box] >= 0.5


def pieces_of(
    volume: np.ndarray, mask: np.ndarray, *, case: str, slices: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is measured: the volume, or its slices again and again with new noise."""
    if case == "liver":
        return [(volume, mask)]
    rng = np.random.default_rng(0)
    usable = np.flatnonzero(mask.sum(axis=(1, 2)) >= MIN_PIXELS)
    made = []
    for number in np.resize(usable, slices):
        plane = slice(number, number + 1)
        noise = rng.normal(0, 5, volume[plane].shape)
        made.append((np.rint(volume[plane] + noise), mask[plane]))
    return made


def small_piece(piece: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A block about the middle of a piece, small enough for every rival."""
    image, mask = piece
    middle = np.argwhere(mask).mean(axis=0).astype(int)
    box = tuple(
        slice(max(m - r, 0), m + r) for m, r in zip(middle, (8, 30, 24), strict=True)
    )
    inside = np.zeros_like(mask[box])
    # PyRadiomics takes a mask without background for an empty one.
    inside[:, 1:-1, 1:-1] = mask[box][:, 1:-1, 1:-1]
    return image[box], inside


def contender(name: str, *, case: str) -> Work:
    """One call measures one piece."""
    planar = case == "slices"
    if name.startswith("ours"):
        preset = "pyradiomics" if name == "ours_pyradiomics" else "ibsi"
        merged = ("2_5D_avg",) if preset == "pyradiomics" else PLANAR
        more: dict[str, Any] = {"aggregation": merged} if planar else {}
        settings = Settings(bin_number=LEVELS, preset=preset, **more)
        return lambda image, mask: extract(
            image, mask, spacing_mm=ONE_MM, settings=settings
        )
    return _mirp(planar) if name == "mirp" else _pyradiomics(planar)


def _mirp(planar: bool) -> Work:
    import logging

    from mirp import extract_features

    logging.disable(logging.WARNING)
    merged = ["2d_average", "2d_slice_merge"] if planar else ["3d_average"]
    merged += [] if planar else ["3d_volume_merge"]
    plain = "2d" if planar else "3d"
    options: dict[str, Any] = {
        "glcm_spatial_method": merged,
        "glrlm_spatial_method": merged,
    }
    for family in ("glszm", "gldzm", "ngtdm", "ngldm"):
        options[f"{family}_spatial_method"] = plain

    def work(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
        (table,) = extract_features(
            image=image,
            mask=mask.astype(np.uint8),
            image_modality="ct",
            base_feature_families="all",
            base_discretisation_method="fixed_bin_number",
            base_discretisation_n_bins=LEVELS,
            **options,
        )
        return {our_name(n): table[n].iloc[0] for n in table.columns}

    return work


def our_name(name: str) -> str:
    """The name that ours give to one of MIRP's features."""
    name = re.sub(rf"_fbn_n{LEVELS}$|_d1(?=_)|_a0\.0(?=_)", "", name)
    for theirs, ours in (
        ("_3d_avg", "_3D_avg"),
        ("_3d_v_mrg", "_3D_comb"),
        ("_2d_avg", "_2D_avg"),
        ("_2d_s_mrg", "_2D_comb"),
        ("_3d", "_3D"),
        ("_2d", "_2D"),
    ):
        if name.endswith(theirs):
            return name.removesuffix(theirs) + ours
    return name


def _pyradiomics(planar: bool) -> Work:
    import SimpleITK
    from radiomics import featureextractor, setVerbosity

    setVerbosity(60)
    extractor = featureextractor.RadiomicsFeatureExtractor(
        binCount=LEVELS, force2D=planar, force2Ddimension=0
    )
    extractor.disableAllFeatures()
    for family in ("firstorder", "shape", "glcm", "glrlm", "glszm", "gldm", "ngtdm"):
        extractor.enableFeatureClassByName(family)

    def work(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
        found = extractor.execute(
            SimpleITK.GetImageFromArray(image),
            SimpleITK.GetImageFromArray(mask.astype(np.uint8)),
        )
        return {n: float(v) for n, v in found.items() if n.startswith("original_")}

    return work


def shared_values(case: str, name: str, piece: tuple[np.ndarray, np.ndarray]) -> int:
    """How many features a rival shares with ours, after checking that they agree."""
    theirs = contender(name, case=case)(*piece)
    ours = contender(RIVALS[name][1], case=case)(*piece)
    shared = [
        n for n in ours if n in theirs and n not in OTHERWISE and np.isfinite(ours[n])
    ]
    # MIRP's meshes are float32.
    stats.agree([ours[n] for n in shared], [theirs[n] for n in shared], rtol=1e-5)
    return len(shared)


def race(name: str, *, data: pathlib.Path, case: str, cut: float) -> dict[str, Any]:
    """Seconds, peak memory, pieces done of one contender in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.radiomics", f"--case={case}"]
    words += [f"--contender={name}", f"--data={data}"]
    notes = data.with_name(f"{name}.jsonl")
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    wait = None if name.startswith("ours") else cut
    # The clock of the cut starts with the work, not with the imports.
    while not notes.exists() and child.poll() is None:
        time.sleep(0.05)
    try:
        child.wait(wait)
    except subprocess.TimeoutExpired:
        peak = peak_of(child.pid)
        child.kill()
        child.wait()
        done = len(notes.read_text().splitlines()) - 1
        return {"seconds": cut, "peak_mb": peak, "done": done, "cut": True}
    if child.returncode:
        raise RuntimeError(f"{name} ended with status {child.returncode}")
    *rest, last = notes.read_text().splitlines()
    return json.loads(last) | {"done": len(rest) - 1, "cut": False}


def peak_of(pid: int) -> float:
    """Peak resident memory in MB of a process that still runs."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else float("nan")


def run_child(args: argparse.Namespace) -> None:
    """Warms up, then measures all pieces, a line a piece in a file of notes."""
    data = pathlib.Path(args.data)
    stored = np.load(data)
    pieces = [
        (stored[f"i{k}"].astype(float), stored[f"m{k}"])
        for k in range(len(stored.files) // 2)
    ]
    work = contender(args.contender, case=args.case)
    work(*small_piece(pieces[len(pieces) // 2]))
    with data.with_name(f"{args.contender}.jsonl").open("w", buffering=1) as notes:
        notes.write("started\n")
        start = time.perf_counter()
        for number, piece in enumerate(pieces):
            work(*piece)
            notes.write(f"{number}\n")
        seconds = time.perf_counter() - start
        # Of this program alone: the other peak has its parent's in it.
        peak = peak_of(os.getpid())
        notes.write(json.dumps({"seconds": seconds, "peak_mb": peak}) + "\n")


if __name__ == "__main__":
    main()
