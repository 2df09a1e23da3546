from __future__ import annotations

import concurrent.futures
import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.errors import InputError
from liverjax.train import checkpoint
from liverjax.train.state import member_key
from tests.train import toy


def tree(value=1.0):
    return {
        "state": {"key": member_key(3, fold=1), "w": jnp.full((3, 2), value)},
        "position": np.array(7),
        "scores": np.array([0.5, np.nan]),
    }


def newest_manifest(folder):
    (path,) = folder.glob("manifest-*.json")
    return path


def test_what_is_saved_comes_back_bit_by_bit(tmp_path):
    checkpoint.save(tmp_path, tree(), about={"environments": [{"threads": 2}]})
    restored, about = checkpoint.restore(tmp_path, like=tree())
    toy.assert_same_bits(toy.host(tree()), toy.host(restored))
    assert jnp.issubdtype(restored["state"]["key"].dtype, jax.dtypes.prng_key)
    assert about == {"environments": [{"threads": 2}]}


def test_shapes_are_enough_to_restore(tmp_path):
    checkpoint.save(tmp_path, tree(), about={})
    shapes = {
        "state": jax.eval_shape(lambda: tree()["state"]),
        "position": jax.ShapeDtypeStruct((), np.int64),
        "scores": jax.ShapeDtypeStruct((2,), np.float64),
    }
    restored, _ = checkpoint.restore(tmp_path, like=shapes)
    np.testing.assert_array_equal(restored["state"]["w"], tree()["state"]["w"])


def test_without_a_likeness_nested_dictionaries_come_back(tmp_path):
    variables = {"params": {"fc": {"bias": np.ones(2, np.float32)}}}
    checkpoint.save(tmp_path, variables, about={})
    restored, _ = checkpoint.restore(tmp_path)
    toy.assert_same_bits(variables, restored)


def test_only_the_newest_is_kept(tmp_path):
    for value in (1.0, 2.0, 3.0):
        checkpoint.save(tmp_path, tree(value), about={})
    restored, _ = checkpoint.restore(tmp_path, like=tree())
    assert restored["state"]["w"].max() == 3.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "manifest-3.json"]


def test_nothing_saved_is_none(tmp_path):
    assert checkpoint.restore(tmp_path / "none") is None
    assert checkpoint.restore(tmp_path) is None


def test_killed_while_saving_the_older_one_counts(tmp_path):
    checkpoint.save(tmp_path, tree(1.0), about={})
    # A manifest whose checkpoint was never finished, as orbax leaves it behind.
    shutil.copy(newest_manifest(tmp_path), tmp_path / "manifest-2.json")
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    restored, _ = checkpoint.restore(tmp_path, like=tree())
    assert restored["state"]["w"].max() == 1.0
    checkpoint.save(tmp_path, tree(5.0), about={})
    restored, _ = checkpoint.restore(tmp_path, like=tree())
    assert restored["state"]["w"].max() == 5.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "manifest-2.json"]


def test_another_network_is_refused_by_name(tmp_path):
    checkpoint.save(tmp_path, tree(), about={})
    other = tree()
    other["state"]["w"] = jnp.zeros((3, 4))
    with pytest.raises(
        InputError, match=r"state/w is float32\[3, 2\] there, float32\[3, 4\] expected"
    ):
        checkpoint.restore(tmp_path, like=other)
    with pytest.raises(InputError, match=r"scores is float64\[2\] there, absent"):
        checkpoint.restore(tmp_path, like={"position": np.array(7)})


def test_an_altered_checkpoint_is_refused(tmp_path):
    checkpoint.save(tmp_path, tree(1.0), about={})
    kept = shutil.copytree(tmp_path / "1", tmp_path / "kept")
    manifest = newest_manifest(tmp_path).read_text()
    checkpoint.remove(tmp_path / "1")
    checkpoint.save(tmp_path / "x", tree(2.0), about={})
    shutil.copytree(tmp_path / "x" / "1", tmp_path / "1")
    (tmp_path / "manifest-1.json").write_text(manifest)
    with pytest.raises(InputError, match=r"damaged \(altered leaves \['state/w'\]\)"):
        checkpoint.restore(tmp_path, like=tree())
    checkpoint.remove(tmp_path / "1")
    kept.rename(tmp_path / "1")
    assert checkpoint.restore(tmp_path, like=tree()) is not None


def test_a_partial_checkpoint_is_refused(tmp_path):
    # One leaf: orbax lets the reads of others fall over a closed event loop.
    checkpoint.save(tmp_path, {"a": np.ones((400, 400))}, about={})
    for path in (tmp_path / "1" / "default").rglob("d/*"):
        path.unlink()
    with pytest.raises(InputError, match="the checkpoint is damaged"):
        checkpoint.restore(tmp_path)


def test_a_leaf_that_is_left_out_is_noticed(tmp_path):
    checkpoint.save(tmp_path, {"a": np.ones(2)}, about={})
    path = newest_manifest(tmp_path)
    manifest = json.loads(path.read_text())
    manifest["leaves"]["b"] = manifest["leaves"]["a"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="damaged"):
        checkpoint.restore(tmp_path)


def test_a_missing_manifest_is_damage(tmp_path):
    checkpoint.save(tmp_path, tree(), about={})
    newest_manifest(tmp_path).unlink()
    with pytest.raises(InputError, match=r"damaged .*the file is missing"):
        checkpoint.restore(tmp_path, like=tree())


def test_threads_save_side_by_side(tmp_path):
    def work(number):
        folder = tmp_path / str(number)
        for value in range(4):
            checkpoint.save(folder, tree(float(value + number)), about={})
        restored, _ = checkpoint.restore(folder, like=tree())
        return float(restored["state"]["w"].max())

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [3.0, 4.0, 5.0]


def test_orbax_says_nothing_and_its_logger_is_left_as_it_was(tmp_path, caplog):
    level = logging.getLogger("absl").level
    with caplog.at_level(logging.DEBUG):
        checkpoint.save(tmp_path, tree(), about={})
        checkpoint.restore(tmp_path, like=tree())
    assert [record for record in caplog.records if record.name == "absl"] == []
    assert logging.getLogger("absl").level == level
