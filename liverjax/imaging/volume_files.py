"""NIfTI, NRRD and MetaImage files: headers checked in their bytes, then read by ITK.

ITK reads a truncated NIfTI as zeros, makes an affine where there is none and falls back
from a sheared sform to the qform, all without a word; so the header is judged first.
"""

from __future__ import annotations

import gzip
import io
import math
import pathlib
import re
import struct
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float

from liverjax.imaging import grids
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
# NIfTI-1 and NIfTI-2: name -> (struct format, offset).
NIFTI = {
    348: {
        "dim": ("8h", 40),
        "datatype": ("h", 70),
        "bitpix": ("h", 72),
        "pixdim": ("8f", 76),
        "vox_offset": ("f", 108),
        "qform_code": ("h", 252),
        "sform_code": ("h", 254),
        "quatern": ("6f", 256),
        "srow": ("12f", 280),
        "magic": ("4s", 344),
    },
    540: {
        "magic": ("8s", 4),
        "datatype": ("h", 12),
        "bitpix": ("h", 14),
        "dim": ("8q", 16),
        "pixdim": ("8d", 104),
        "vox_offset": ("q", 168),
        "qform_code": ("i", 344),
        "sform_code": ("i", 348),
        "quatern": ("6d", 352),
        "srow": ("12d", 400),
    },
}
MAX_SHEAR_COSINE = 1e-3
TEXT_HEADER_BYTES = 65536
MAX_EXTENSION_BYTES = 2**20


def is_volume_file(path: pathlib.Path) -> bool:
    """Whether the name ends like a file that `read` reads."""
    return path.name.lower().endswith(SUFFIXES)


def read(
    path: pathlib.Path, *, allow: Collection[str] = ()
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Returns a file as a 3-D image in its own axis order and type, and findings.

    Args:
        path: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.
        allow: Codes of failed findings that are taken as warnings.

    Raises:
        ExaminationError: ``not-an-image``, ``truncated``, ``two-dimensional``,
            ``four-dimensional``, ``not-scalar``, ``no-orientation``, ``sheared-axes``,
            ``too-large``, ``impossible-spacing`` or ``conflicting-orientation`` (which
            can be allowed: ITK's choice is taken).
    """
    reader, findings = read_header(path, read_data=True)
    settled = settle(findings, allow=allow, where=str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    return image, settled


def read_header(
    path: pathlib.Path, *, read_data: bool = False
) -> tuple[sitk.ImageFileReader, list[Finding]]:
    """Returns ITK's reader, which knows the grid but read no voxel, and findings.

    Args:
        path: As for `read`.
        read_data: Read a NIfTI's data to see that they are whole and finite (ITK puts
            0 in the place of NaN); the length of all other files is compared in any
            case.

    Raises:
        ExaminationError: As for `read`.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        findings = _check_nifti(path, read_data=read_data)
    else:
        _check_text_header(path)
        findings = []
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_dimensions(reader, path=path)
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    return reader, findings


def _unreadable(path: pathlib.Path, error: RuntimeError) -> ExaminationError:
    text = f"{path}: cannot be read as an image ({_reason(error)})"
    return ExaminationError("truncated", text)


def label_names(path: pathlib.Path) -> dict[int, str]:
    """Names of a NIfTI label map's values, as TotalSegmentator writes them.

    Empty where the file has no such table (a Caret extension after the header).
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return {}
    with _open(path) as file:
        start = file.read(544)
        offset = int(_parse_nifti(start, path=path)["vox_offset"][0])
        extension = start + file.read(min(max(offset - 544, 0), MAX_EXTENSION_BYTES))
    pattern = rb'<Label Key="(\d+)"[^>]*>\s*<!\[CDATA\[([^\]]*)\]\]>'
    return {
        int(value): name.decode("utf-8", "replace")
        for value, name in re.findall(pattern, extension)
    }


def _check_dimensions(reader: sitk.ImageFileReader, *, path: pathlib.Path) -> None:
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    grids.check_size(tuple(size))
    if len(size) > 3:
        raise ExaminationError(
            "four-dimensional",
            f"{path}: {len(size)} dimensions {tuple(size)}; expected 3: write each "
            "time point or phase to a file of its own and name it in its own column",
        )
    if len(size) < 3 or min(size) == 1:
        raise ExaminationError(
            "two-dimensional",
            f"{path}: size {tuple(size)} is a picture, expected a volume of 2 slices "
            "or more along each axis",
        )
    if reader.GetNumberOfComponents() > 1:
        raise ExaminationError(
            "not-scalar",
            f"{path}: {reader.GetNumberOfComponents()} values a voxel (colour or "
            "vectors); expected one",
        )


def _reason(error: RuntimeError) -> str:
    """Last line of ITK's message, which names what failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _open(path: pathlib.Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped != path.name.lower().endswith(".gz"):
        raise ExaminationError(
            "not-an-image",
            f"{path}: {'is' if zipped else 'is not'} gzip-compressed, against its "
            "name; rename or export it again",
        )
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _check_nifti(path: pathlib.Path, *, read_data: bool) -> list[Finding]:
    """Findings on a NIfTI's header and data."""
    not_finite = 0
    try:
        with _open(path) as file:
            header = _parse_nifti(file.read(544), path=path)
            shape = header["dim"][1 : 1 + header["dim"][0]]
            grids.check_size(tuple(int(n) for n in shape))
            data = math.prod(int(n) for n in shape) * header["bitpix"][0] // 8
            expected = found = int(header["vox_offset"][0]) + data
            if read_data:
                found, not_finite = _read_data(file, header=header, end=expected)
            elif not path.name.lower().endswith(".gz"):
                found = path.stat().st_size
    except (EOFError, OSError, zlib.error):
        raise ExaminationError(
            "truncated", f"{path}: compressed data end early or are damaged; copy again"
        ) from None
    if found < expected:
        raise ExaminationError(
            "truncated", f"{path}: {found} of {expected} bytes; copy the file again"
        )
    findings = _check_nifti_orientation(header, path=path)
    if not_finite:
        text = (
            f"{not_finite} voxels are NaN or infinite; expected finite numbers: export "
            "the scan again; allowed by name, they become 0"
        )
        findings.append(Finding("not-finite", text, FAILED))
    return findings


def _read_data(
    file: io.BufferedIOBase, *, header: dict[str, tuple[Any, ...]], end: int
) -> tuple[int, int]:
    """Where a NIfTI's bytes end, and how many of its numbers are not finite."""
    start = int(header["vox_offset"][0])
    file.seek(start)
    (order,), (datatype,) = header["order"], header["datatype"]
    size = {16: 4, 64: 8}.get(datatype, 0)  # of float32 and float64
    total, not_finite = start, 0
    # More than the header announces (padding) need not be unfolded.
    while total < end and (chunk := file.read(2**20)):
        if size:
            count = min(len(chunk), end - total) // size
            numbers = np.frombuffer(chunk, f"{order}f{size}", count=count)
            not_finite += int(np.count_nonzero(~np.isfinite(numbers)))
        total += len(chunk)
    # A damaged end is seen by the decompressor only when it gets there.
    file.read(1)
    return total, not_finite


def _parse_nifti(start: bytes, *, path: pathlib.Path) -> dict[str, tuple[Any, ...]]:
    for order in "<>":
        if len(start) < 352:
            break
        layout = NIFTI.get(struct.unpack_from(f"{order}i", start)[0])
        if layout is None or len(start) < 540 <= layout["srow"][1]:
            continue
        header = {
            name: struct.unpack_from(order + code, start, offset)
            for name, (code, offset) in layout.items()
        }
        header["order"] = (order,)
        if header["magic"][0][:3] in (b"n+1", b"n+2") and 1 <= header["dim"][0] <= 7:
            return header
    raise ExaminationError(
        "not-an-image",
        f"{path}: no NIfTI header (a pair of .hdr and .img is not read): export the "
        "scan as .nii.gz",
    )


def _check_nifti_orientation(
    header: dict[str, tuple[Any, ...]], *, path: pathlib.Path
) -> list[Finding]:
    if header["sform_code"][0] <= 0 and header["qform_code"][0] <= 0:
        raise ExaminationError(
            "no-orientation",
            f"{path}: sform_code and qform_code are 0, so nothing says how the voxels "
            "lie in the patient; no orientation is invented: convert the scan again "
            "from DICOM",
        )
    sform = np.reshape(header["srow"], (3, 4))
    if header["sform_code"][0] > 0:
        lengths = np.linalg.norm(sform[:, :3], axis=0)
        if not (np.isfinite(sform).all() and (lengths > 0).all()):
            raise ExaminationError(
                "impossible-spacing", f"{path}: the sform has a spacing of zero or NaN"
            )
        cosines = sform[:, :3] / lengths
        shear = np.abs(cosines.T @ cosines - np.eye(3)).max()
        if shear > MAX_SHEAR_COSINE:
            raise ExaminationError(
                "sheared-axes",
                f"{path}: the axes are not at right angles (cosine {shear:.3f}, from "
                "gantry tilt or a registration); resample the scan to a straight grid",
            )
    if min(header["sform_code"][0], header["qform_code"][0]) > 0:
        apart_mm = _forms_apart_mm(header, sform=sform)
        if not apart_mm <= min(abs(p) for p in header["pixdim"][1:4]):
            return [
                Finding(
                    "conflicting-orientation",
                    f"sform and qform place the scan's corners {apart_mm:.1f} mm "
                    "apart; correct the one that is wrong",
                    FAILED,
                )
            ]
    return []


def _forms_apart_mm(
    header: dict[str, tuple[Any, ...]], *, sform: Float[np.ndarray, "3 4"]
) -> float:
    """Largest distance between a corner placed by the sform and by the qform."""
    b, c, d, *offset = header["quatern"]
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    pixdim = np.array(header["pixdim"][1:4])
    pixdim[2] *= -1 if header["pixdim"][0] < 0 else 1
    qform = np.column_stack([rotation * pixdim, offset])
    ends = np.meshgrid(*[(0, n - 1) for n in header["dim"][1:4]])
    corners = np.vstack([np.reshape(ends, (3, 8)), np.ones(8)])
    return float(np.abs((sform - qform) @ corners).max())


def _check_text_header(path: pathlib.Path) -> None:
    """Refuses NRRD and MetaImage headers without orientation, or that leave the folder.

    Raises:
        ExaminationError: ``not-an-image``, ``no-orientation`` or ``outside-folder``.
    """
    with path.open("rb") as file:
        start = file.read(TEXT_HEADER_BYTES)
    is_nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    if is_nrrd and not start.startswith(b"NRRD"):
        raise ExaminationError("not-an-image", f"{path}: no NRRD header")
    header = start.split(b"\n\n")[0] if is_nrrd else start
    fields: dict[str, str] = {}
    for line in header.decode("latin-1").splitlines():
        match = re.match(r"\s*([A-Za-z ]+?)\s*(?::=?|=)\s*(.*?)\s*$", line)
        if match:
            fields.setdefault(match[1].lower().replace(" ", ""), match[2])
        if match and match[1].lower() == "elementdatafile":
            break
    if not is_nrrd and "ndims" not in fields:
        raise ExaminationError("not-an-image", f"{path}: no MetaImage header")
    oriented = (
        {"space", "spacedirections", "spaceorigin"} <= set(fields)
        if is_nrrd
        else bool({"transformmatrix", "orientation", "rotation"} & set(fields))
    )
    data_file = fields.get("datafile") or fields.get("elementdatafile") or "LOCAL"
    if not _stays_beside(path, data_file):
        raise ExaminationError(
            "outside-folder",
            f"{path}: its voxels are said to lie in another place than one file beside "
            "it; only a plain file name is followed",
        )
    if not oriented:
        raise ExaminationError(
            "no-orientation",
            f"{path}: the header has no orientation (NRRD: space, space directions, "
            "space origin; MetaImage: TransformMatrix); none is invented: convert the "
            "scan again from DICOM",
        )


def _stays_beside(path: pathlib.Path, data_file: str) -> bool:
    if data_file.upper() == "LOCAL":
        return True
    plain = pathlib.PurePath(data_file).name == data_file and "\\" not in data_file
    listed = data_file.upper().startswith("LIST") or "%" in data_file
    if not plain or listed or data_file in ("", ".", ".."):
        return False
    return (path.parent / data_file).resolve().parent == path.parent.resolve()
