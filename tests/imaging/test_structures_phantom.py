"""The RTSTRUCT of the CT phantom of a standard against its own NIfTI mask."""

from __future__ import annotations

import zipfile

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import masks, volumes


def test_contours_become_the_published_mask(shared, tmp_path):
    phantom = shared / "data" / "ibsi" / "ibsi_1_ct_radiomics_phantom"
    with zipfile.ZipFile(phantom / "dicom.zip") as archive:
        archive.extractall(tmp_path)
    series = tmp_path / "image"
    image, _ = volumes.read_volume(series, modality="ct")
    contours = MaskSource(tmp_path / "mask" / "DCM_RS_00060.dcm", segment="GTV-1")
    voxels = MaskSource(phantom / "nifti" / "mask" / "mask.nii.gz")
    drawn, known = (
        sitk.GetArrayFromImage(
            masks.read_mask(source, image=image, organ="GTV-1", image_path=series)[0]
        )
        == 1
        for source in (contours, voxels)
    )
    dice = 2 * (drawn & known).sum() / (drawn.sum() + known.sum())
    assert dice >= 0.98
    # Within one voxel of the contour, in its plane.
    cross = ndimage.generate_binary_structure(3, 2)
    cross[[0, 2]] = False
    near = ndimage.binary_dilation(known, cross) & ~ndimage.binary_erosion(known, cross)
    assert not ((drawn != known) & ~near).any()
    np.testing.assert_array_equal(drawn.any(axis=(1, 2)), known.any(axis=(1, 2)))
