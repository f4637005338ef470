"""The measuring helpers count, order and summarise as they say. Nothing here depends on how fast anything is."""

import gc
import os
import sys

import pytest

from benchmarks.measure import interleaved, median_ratio, run_process, spread


class _Time:
    """A clock that only moves when a contender says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> None:
        """One call of `name`: takes seconds[i] the i-th time, the last from then on."""
        done = self.order.count(name)
        self.order.append(name)
        self.now += seconds[min(done, len(seconds) - 1)]


def test_warm_up_and_trial_are_not_among_the_samples() -> None:
    time = _Time()
    contenders = {"a": lambda: time.work("a", 100.0, 50.0, 9.0, 2.0, 8.0, 3.0)}
    assert interleaved(contenders, repeats=2, shortest=1.0, clock=time) == {"a": [2.0, 3.0]}


def test_every_round_runs_all_contenders_and_starts_with_another() -> None:
    time = _Time()
    contenders = {name: lambda name=name: time.work(name, 1.0) for name in "abc"}
    interleaved(contenders, repeats=4, shortest=0.5, clock=time)
    assert "".join(time.order) == "aabbcc" + "aabbcc" + "bbccaa" + "ccaabb" + "aabbcc"


def test_a_fast_contender_is_called_several_times_a_sample_and_gives_seconds_a_call() -> None:
    time = _Time()
    contenders = {"fast": lambda: time.work("fast", 0.25), "slow": lambda: time.work("slow", 2.0)}
    samples = interleaved(contenders, repeats=2, shortest=1.0, clock=time)
    assert samples == {"fast": [0.25, 0.25], "slow": [2.0, 2.0]}
    assert time.order.count("fast") == 2 + 4 + 2 * (1 + 4)
    assert time.order.count("slow") == 2 + 2 * (1 + 1)


def test_a_contender_of_another_process_takes_its_own_times() -> None:
    class Elsewhere:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def seconds(self, times: int) -> float:
            self.asked.append(times)
            return 0.5 * times

    elsewhere = Elsewhere()
    assert interleaved({"a": elsewhere}, repeats=2, shortest=1.0) == {"a": [0.5, 0.5]}
    assert elsewhere.asked == [1, 1, 2, 1, 2, 1, 2]


def test_garbage_collection_is_off_while_timing_and_on_again_after_a_failure() -> None:
    seen = []

    def contender() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 4:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interleaved({"a": contender}, repeats=2, shortest=0.0)
    assert seen == [True, True, False, False]
    assert gc.isenabled()


def test_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    assert median_ratio([2.0, 30.0, 8.0], [1.0, 10.0, 1.0]) == 3.0
    with pytest.raises(ValueError, match="2 and 1"):
        median_ratio([1.0, 2.0], [1.0])


def test_spread_is_half_the_middle_half_over_the_median() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == pytest.approx(1.0 / 3.0)
    assert spread([7.0]) == 0.0


def test_a_process_gives_its_output_its_own_memory_and_the_environment_it_was_given() -> None:
    program = "import os, sys; block = b'x' * int(sys.argv[1]); print(os.environ['COLOUR'])"
    own = b"x" * 80_000_000  # must not count as the memory of what this process starts
    large = run_process([sys.executable, "-c", program, "80000000"], {"COLOUR": "red"})
    small = run_process([sys.executable, "-c", program, "1"], {"COLOUR": "blue"})
    assert (large.output, small.output) == ("red\n", "blue\n")
    assert large.peak_memory_mb > 80 > small.peak_memory_mb
    assert large.seconds > 0
    assert len(own) == 80_000_000
    assert "COLOUR" not in os.environ


def test_a_process_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3: out of luck"):
        run_process([sys.executable, "-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])


def test_a_program_that_is_not_there_is_an_error_too() -> None:
    with pytest.raises(RuntimeError, match="could not be started"):
        run_process(["no-such-program-of-throughtime"])
