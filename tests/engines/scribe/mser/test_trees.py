from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.scribe.mser import NODE, Polarity, regions, trees
from tests.engines.scribe.mser import reference
from tests.engines.scribe.mser.pictures import KINDS, Kind, bitonal, comb, noise, page, pictures, smooth

CONNECTIVITIES = st.sampled_from((4, 8))
STEPS = st.sampled_from((1, 2, 16))
slowly = settings(deadline=None, max_examples=60)  # the reference is slow


def assert_equal(ours: NDArray[np.void], theirs: NDArray[np.void]) -> None:
    assert len(ours) == len(theirs)
    for name in NODE.names or ():
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@slowly
@given(pictures(), CONNECTIVITIES, STEPS, st.integers(1, 255), st.integers(1, 6))
def test_trees_equal_those_found_by_trying_every_threshold(
    grey: NDArray[np.uint8], connectivity: int, step: int, delta: int, min_area: int
) -> None:
    ours = trees(grey, connectivity=connectivity, step=step, delta=delta, min_area=min_area)
    theirs = reference.trees(grey, connectivity=connectivity, step=step, delta=delta, min_area=min_area)
    assert_equal(ours[0], theirs[0])
    assert_equal(ours[1], theirs[1])


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("kind", [None, noise, bitonal, smooth], ids=("page", "noise", "bitonal", "smooth"))
def test_trees_equal_higras(kind: Kind | None, connectivity: int) -> None:
    hg = pytest.importorskip("higra", reason="higra (pip install higra) is the oracle here")
    rng = np.random.default_rng(3)
    grey = page() if kind is None else kind(rng, 90, 121)
    adjacency = {4: hg.get_4_adjacency_implicit_graph, 8: hg.get_8_adjacency_implicit_graph}[connectivity]
    y, x = np.indices(grey.shape)
    for nodes, build in zip(
        trees(grey, connectivity=connectivity), (hg.component_tree_min_tree, hg.component_tree_max_tree), strict=True
    ):
        tree, levels = build(adjacency(grey.shape), grey)
        leaves = tree.num_leaves()
        parent = tree.parents()[leaves:]
        sums = (
            hg.accumulate_sequential(tree, values.ravel().astype(np.float64), hg.Accumulators.sum)[leaves:]
            for values in (np.ones_like(x), x, y, x * x, y * y, x * y)
        )
        theirs = [levels[leaves:], levels[parent], *sums]
        ours = [nodes[k] for k in ("level", "merge", "area", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy")]
        np.testing.assert_array_equal(_sorted_columns(ours), _sorted_columns(theirs))


def _sorted_columns(columns: list[NDArray[np.generic]]) -> NDArray[np.int64]:
    table = np.stack([np.asarray(column).astype(np.int64) for column in columns])
    return table[:, np.lexsort(table)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_empty_image_has_no_components(shape: tuple[int, int]) -> None:
    for found in (trees(np.zeros(shape, np.uint8)), regions(np.zeros(shape, np.uint8))):
        assert [len(nodes) for nodes in found] == [0, 0]


def test_a_constant_image_is_one_component() -> None:
    (root,), _ = trees(np.full((3, 5), 9, np.uint8))
    assert (root["parent"], root["area"], root["level"], root["merge"]) == (-1, 15, 9, 9)
    assert (root["x0"], root["y0"], root["x1"], root["y1"]) == (0, 0, 5, 3)
    assert (root["perimeter"], root["holes"]) == (16, 0)


def test_a_ring_has_one_hole_and_a_stroke_its_width() -> None:
    grey = np.full((60, 60), 255, np.uint8)
    grey[10:50, 10:50] = 0
    grey[14:46, 14:46] = 255
    ring = trees(grey)[0][1]
    assert ring["holes"] == 1
    assert 2 * ring["area"] / ring["perimeter"] == pytest.approx(4)


def test_corners_connect_with_eight_neighbours_only() -> None:
    grey = np.where(np.eye(4, dtype=bool), np.uint8(0), np.uint8(255))
    assert len(trees(grey, connectivity=8)[0]) == 1 + 1
    assert len(trees(grey, connectivity=4)[0]) == 1 + 4


def test_dark_and_light_trade_places_in_the_negative() -> None:
    grey = page()
    dark, light = trees(grey)
    negative_dark, negative_light = trees(255 - grey)
    for nodes in (negative_dark, negative_light):
        for name in ("level", "merge", "extremum"):
            nodes[name] = 255 - nodes[name]
    assert_equal(dark, negative_light)
    assert_equal(light, negative_dark)


def test_a_polarity_nobody_asked_for_costs_and_gives_nothing() -> None:
    grey = page()
    dark, light = trees(grey)
    assert_equal(trees(grey, polarities=Polarity.DARK)[0], dark)
    assert_equal(trees(grey, polarities=Polarity.LIGHT)[1], light)
    assert len(trees(grey, polarities=Polarity.DARK)[1]) == 0


def test_arrays_outlive_the_call_and_can_be_written() -> None:
    dark = trees(page())[0]
    copies = [trees(page())[0] for _ in range(5)]
    dark["parent"][0] = 5
    assert all(copy["parent"][0] == -1 for copy in copies)


def test_read_only_memory_will_do() -> None:
    grey = page()
    grey.flags.writeable = False
    assert len(trees(grey)[0]) > 1


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4), bool), np.zeros((4, 4, 3), np.uint8), np.zeros(4, np.uint8)],
    ids=str,
)
def test_anything_but_two_dimensions_of_bytes_is_refused(wrong: NDArray[np.generic]) -> None:
    with pytest.raises(TypeError):
        trees(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"delta": 0}, {"delta": 256}, {"min_area": 0}, {"step": 3}, {"step": 256}, {"connectivity": 6}], ids=str
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        trees(np.zeros((4, 4), np.uint8), **options)


def test_a_side_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        trees(np.zeros((1, 65536), np.uint8))
    assert len(trees(np.zeros((1, 65535), np.uint8))[0]) == 1


def assert_whole(grey: NDArray[np.uint8]) -> None:
    height, width = grey.shape
    for nodes in trees(grey, min_area=64):
        assert nodes["area"][0] == grey.size
        assert nodes["sum_yy"][0] == width * (np.arange(height, dtype=np.int64) ** 2).sum()
        assert np.all(nodes["parent"][1:] < np.arange(1, len(nodes)))
        children = np.bincount(nodes["parent"][1:], nodes["area"][1:], len(nodes))
        assert np.all(children < nodes["area"])


def test_twenty_megapixels_of_text_come_whole() -> None:
    assert_whole(np.tile(page(1000, 1000), (4, 5)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_twenty_megapixels_of_anything_come_whole(kind: Kind) -> None:
    assert_whole(np.tile(kind(np.random.default_rng(1), 1000, 1000), (4, 5)))


def test_long_paths_do_not_make_it_slow() -> None:
    rng = np.random.default_rng(2)

    def seconds(grey: NDArray[np.uint8]) -> float:
        started = time.process_time()
        trees(grey, min_area=64)
        return time.process_time() - started

    assert seconds(comb(rng, 1000, 1000)) < 4 * seconds(noise(rng, 1000, 1000))


def test_other_threads_run_meanwhile() -> None:
    """With the GIL held, the counting thread would stand still while the trees grow."""
    grey = cv2.resize(page(), (4000, 3000), interpolation=cv2.INTER_NEAREST)
    ticks, done = 0, threading.Event()
    thread = threading.Thread(target=lambda: (trees(grey, min_area=8), done.set()))
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    assert ticks > 5
