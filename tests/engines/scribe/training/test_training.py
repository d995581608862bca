"""What the net is taught: the loss, the port to TensorFlow, the corpus, and windows that show their text."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training extra (torch) is not installed")
pytest.importorskip("wordfreq", reason="the training extra (wordfreq) is not installed")
pytest.importorskip("faker", reason="the training extra (faker) is not installed")


from engines.scribe.recogniser.alphabet import CLASSES, encode  # noqa: E402
from engines.scribe.recogniser.card import Enough  # noqa: E402
from engines.scribe.recogniser.port import LARGE, SMALL, Layout  # noqa: E402
from engines.scribe.training import fonts, windows  # noqa: E402
from engines.scribe.training.cascade import enough  # noqa: E402
from engines.scribe.training.corpus import Corpus  # noqa: E402
from engines.scribe.training.data import write  # noqa: E402
from engines.scribe.training.hard import losses  # noqa: E402
from engines.scribe.training.loss import FoldingCtc, fold, imitation  # noqa: E402
from engines.scribe.training.mix import between  # noqa: E402
from engines.scribe.training.net import WordNet, load, teacher  # noqa: E402
from engines.scribe.training.settings import DataSettings, TrainSettings  # noqa: E402
from engines.scribe.training.shards import FORMS, Pool, Shard, batch, collate  # noqa: E402
from engines.scribe.windows import HEIGHT, WIDTH, Reading  # noqa: E402


def seasoned(layout: Layout) -> WordNet:
    """A net whose BatchNorm has left its start, gains and statistics."""
    torch.manual_seed(3)
    net = WordNet(layout).train()
    for norm in net.features[1::3]:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    for _ in range(3):
        net(torch.randint(0, 256, (8, HEIGHT, WIDTH), dtype=torch.uint8))
    return net.eval()


@pytest.mark.parametrize("layout", [LARGE, SMALL], ids=["large", "small"])
def test_the_port_gives_pytorchs_logits_for_any_weights(layout: Layout) -> None:
    from engines.scribe.recogniser.precision import Precision
    from engines.scribe.recogniser.reader import callable_graph

    net = seasoned(layout)
    pixels = torch.randint(0, 256, (8, HEIGHT, WIDTH), dtype=torch.uint8)
    with torch.no_grad():
        expected = net(pixels).numpy()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    found = callable_graph(weights, Precision.FLOAT32, layout)(pixels.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_teacher_reads_as_the_net_does_whose_weights_it_has(tmp_path: Path) -> None:
    net = seasoned(LARGE)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    pixels = torch.randint(0, 256, (2, HEIGHT, WIDTH), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(teacher(tmp_path / "net.pt")(pixels), net(pixels), atol=1e-4, rtol=0)


def test_imitation_is_least_where_both_nets_say_the_same() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(2, 3, CLASSES) * 3
    assert float(imitation(wanted + 5, wanted)) == pytest.approx(0, abs=1e-5)
    other = wanted.clone()
    other[1, 2] = -other[1, 2]
    probabilities = wanted[1, 2].softmax(-1)
    apart = (probabilities * (probabilities.log() - other[1, 2].log_softmax(-1))).sum()
    torch.testing.assert_close(imitation(other, wanted), apart / 2)


def reading(text: str, probability: float, confidence: float = 0.75) -> Reading:
    count = len(text)
    return Reading(text, np.arange(count, dtype=np.float32), np.full(count, probability, np.float32), confidence)


def test_the_small_net_is_believed_as_far_down_as_it_loses_next_to_nothing() -> None:
    small = [reading("a", 0.95), reading("b", 0.9), reading("x", 0.85), reading("d", 0.82)]
    large = [True] * len(small)
    right = [True, True, False, True]
    assert enough(small, large, right) == Enough(pytest.approx(0.9), 0.75, 0.3)
    # One that left a letter out is told by the probability of its whole text.
    hesitant = [*small[:2], reading("x", 0.85, 0.2), *small[3:]]
    assert enough(hesitant, large, right) == Enough(pytest.approx(0.82), 0.75, 0.3)
    # Where the large net is wrong too nothing is lost, and what it alone gets wrong makes up for something.
    assert enough(small, [True, True, False, *large[3:]], right).character == pytest.approx(0.82)
    assert enough(small, [False, *large[1:]], right).character == pytest.approx(0.82)
    # However little is lost: the Wordinator takes for noise what is less sure.
    unsure = [*small, reading("e", 0.6)]
    assert enough(unsure, [False] * len(unsure), [*right, True]).settled(unsure[-1]) is None
    assert enough(small[2:3], large[2:3], right[2:3]).settled(small[0]) is None


def test_weights_from_before_the_residual_convolution_read_as_they_did(tmp_path: Path) -> None:
    old = replace(LARGE, convolutions=LARGE.convolutions[:5] + LARGE.convolutions[6:], residual=())
    net = seasoned(old)
    torch.save(net.state_dict(), tmp_path / "older.pt")
    deeper = WordNet().eval()
    deeper.load_state_dict(load(tmp_path / "older.pt"))
    pixels = torch.randint(0, 256, (2, HEIGHT, WIDTH), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(deeper(pixels), net(pixels), atol=1e-5)


def test_folded_loss_is_that_of_the_likelier_sum_of_both_cases() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, CLASSES) * 3
    loss = FoldingCtc()
    # CTC of "ab" over 3 steps sums the paths; over all four spellings it is what folding must give.
    target, length = torch.tensor(encode("AB")), torch.tensor([2])
    spellings = ["".join(pair) for pair in itertools.product("aA", "bB")]
    apart = [loss(logits, torch.tensor(encode(s)), length, torch.tensor([False])) for s in spellings]
    together = loss(logits, target, length, torch.tensor([True]))
    # Folding also lets a path change case between repeats of one letter ("Aa" as one A), so it can only be likelier.
    assert float(together) <= float(-torch.logsumexp(-torch.stack(apart), 0)) + 1e-4
    assert float(together) < float(min(apart))
    probabilities = fold(logits.log_softmax(-1)).exp()
    upper, lower = encode("Aa")
    both = logits.softmax(-1)[..., upper] + logits.softmax(-1)[..., lower]
    torch.testing.assert_close(probabilities[..., upper], both)


def test_a_folded_truth_does_not_teach_a_letters_case() -> None:
    torch.manual_seed(0)
    logits = (torch.randn(1, 3, CLASSES) * 3).requires_grad_()
    upper, lower = encode("Aa")
    FoldingCtc()(logits, torch.tensor([upper]), torch.tensor([1]), torch.tensor([True])).backward()
    gradient = logits.grad
    assert gradient is not None
    torch.testing.assert_close(gradient[..., upper], gradient[..., lower])
    assert (gradient[..., upper] < 0).all()


def test_a_net_learns_a_handful_of_windows_by_heart(corpus: Corpus, some_fonts: fonts.Fonts) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    maker = windows.Maker(corpus, some_fonts, DataSettings())
    made = [maker.make(np.random.default_rng([5, i]), "code", "clean") for i in range(6)]
    net, loss = WordNet(), FoldingCtc()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    pixels = torch.from_numpy(np.stack([m[0] for m in made]))
    targets = torch.tensor([c for m in made for c in encode(m[1])])
    lengths = torch.tensor([len(m[1]) for m in made])
    first = last = 0.0
    for step in range(40):
        value = loss(net(pixels), targets, lengths, torch.zeros(6, dtype=torch.bool))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), TrainSettings().clip)
        optimiser.step()
        first, last = (float(value.detach()) if step == 0 else first), float(value.detach())
    assert last < 0.3 * first


def test_a_batch_is_as_wide_as_its_windows_need(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shown = (40, 90, 90, 250)
    made = [windows.pad(rng.integers(0, 255, (HEIGHT, width), dtype=np.uint8)) for width in shown]
    write(
        tmp_path,
        "s",
        made,
        [{"text": f"{width}", "kind": "real" if width == 250 else "code", "look": ""} for width in shown],
    )
    pool = Pool(tmp_path)
    assert len(pool) == 4
    seen: dict[str, set[int]] = {}
    for step in range(60):
        drawn = batch(np.random.default_rng(step), pool, pool, 6, 0.5)
        assert len(drawn.pixels) == len(drawn.lengths) == 6
        width = drawn.pixels.shape[2]
        for pixels, text, folded in zip(
            drawn.pixels.numpy(), drawn.targets.split(drawn.lengths.tolist()), drawn.folded.tolist(), strict=True
        ):
            (number,) = (n for n in set(shown) if encode(f"{n}") == text.tolist())
            assert any(np.array_equal(pixels, window[:, :width]) for window in made)
            assert folded == (number == 250)
            seen.setdefault(f"{number}", set()).add(width)
    # What a window needs, and seldom one form more.
    assert seen == {"40": {64, 96}, "90": {128, 160}, "250": {256}}


def test_easy_windows_are_drawn_less_often(tmp_path: Path) -> None:
    easy, hard, hopeless = (np.full((HEIGHT, WIDTH), grey, np.uint8) for grey in (10, 20, 30))
    write(
        tmp_path, "s", [easy, hard, hopeless], [{"text": text, "kind": "code", "look": ""} for text in ("a", "b", "c")]
    )
    np.save(tmp_path / "s.loss.npy", np.array([0.001, 1.0, 30.0], np.float16))
    pool = Pool(tmp_path)
    drawn = Counter(shard.texts[i] for shard, i in pool.draw(np.random.default_rng(1), 3000, 0))
    assert drawn["b"] == pytest.approx(3000 / 1.6, rel=0.1)
    assert drawn["a"] == pytest.approx(drawn["c"], rel=0.15)


def test_what_holds_no_text_stays_and_lines_of_unknown_case_keep_their_share(tmp_path: Path) -> None:
    blank = np.full((HEIGHT, WIDTH), 10, np.uint8)
    notes = [("", "negative"), ("a", "cased"), ("b", "cased"), ("c", "real"), ("d", "real"), ("e", "real")]
    write(tmp_path, "s", [blank] * len(notes), [{"text": t, "kind": kind, "look": ""} for t, kind in notes])
    np.save(tmp_path / "s.loss.npy", np.array([0.001, 0.001, 0.001, 1.0, 1.0, 0.001], np.float16))
    share = Shard(tmp_path / "s.jsonl").share
    assert share[0] == 1
    assert share[1] == share[2] < 1
    assert share[5] == pytest.approx(0.3 * share[3])
    assert share[3:].mean() == pytest.approx(share[:3].mean())


def test_half_way_between_two_nets_the_younger_ones_convolution_adds_half() -> None:
    old, new = WordNet().state_dict(), seasoned(LARGE).state_dict()
    (i,) = LARGE.residual
    mixed = between(old, new, 0.5)
    assert torch.equal(mixed[f"features.{3 * i}.weight"], new[f"features.{3 * i}.weight"])
    assert torch.equal(mixed[f"features.{3 * i + 1}.weight"], new[f"features.{3 * i + 1}.weight"] / 2)
    assert torch.allclose(mixed["head.weight"], (old["head.weight"] + new["head.weight"]) / 2)
    for name, value in between(old, new, 1.0).items():
        assert torch.equal(value, new[name])


def test_the_losses_kept_are_those_of_each_window_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    made = [windows.pad(rng.integers(0, 255, (HEIGHT, width), dtype=np.uint8)) for width in (250, 40, 240)]
    notes = [
        {"text": text, "kind": kind, "look": ""} for text, kind in (("ab", "real"), ("", "negative"), ("c", "date"))
    ]
    write(tmp_path, "s", made, notes)
    shard, net = Shard(tmp_path / "s.jsonl"), seasoned(SMALL)
    loss = FoldingCtc()
    with torch.no_grad():
        for i, found in enumerate(losses(net, shard)):
            alone = collate([(shard, i)], int(FORMS[shard.form[i]]))
            expected = loss(net(alone.pixels), alone.targets, alone.lengths, alone.folded)
            assert found == pytest.approx(float(expected), rel=1e-3)
