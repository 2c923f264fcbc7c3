"""Runs that a policy has changed or ended are drawn like others; the figure of a comparison."""

import matplotlib.pyplot as plt
import pytest

import livemig
from livemig.draw.policies import comparison
from livemig.draw.validation import FigureError
from livemig.draw.wire import pack
from livemig.engine.policies import KubevirtRamp
from livemig.scenario import Scenario

MIB = 1 << 20
GUEST = Scenario(ram_bytes=64 * MIB, working_set_bytes=40 * MIB, dirty_rate_bytes_per_s=100.0 * MIB, give_up_s=20.0,
                 bandwidth_bytes_per_s=32.0 * MIB)


def raises(sample, memory):
    raise ValueError("by mistake")


@pytest.mark.parametrize("policy", [KubevirtRamp(max_ms=3000, cooldown_s=1.0), raises])
def test_such_traces_are_drawn(policy) -> None:
    trace = livemig.simulate(GUEST, policy=policy)
    for draw in (livemig.figures.timeline, livemig.figures.pending, livemig.figures.sequence):
        draw(trace)
    plt.close("all")
    names = {(head[0], head[2]) for head in pack(trace)["heads"]}
    assert ("fault", "policy") in names if policy is raises else ("command", "migrate-set-parameters") in names
    assert livemig.Trace.from_json(trace.to_json()).outcome == trace.outcome
    html = livemig.stage(trace).to_html()
    assert "migrate-set-parameters" in html or "by mistake" in html


def test_the_figure_of_a_comparison() -> None:
    found = livemig.compare(GUEST, {"qemu": "qemu", "bad": raises, "ramp": KubevirtRamp(max_ms=3000, cooldown_s=1.0)})
    axes = comparison(found.to_json())
    labels = [text.get_text() for text in axes[0].get_yticklabels()]
    assert labels == ["qemu  0/1", "bad  0/1", "ramp  1/1"]
    said = [text.get_text() for text in axes[0].texts]
    assert len(said) == 2
    assert "by mistake" in said[1]
    points = [line.get_xdata()[0] for line in axes[0].lines if len(line.get_xdata()) == 1]
    assert points == [found.rows[2].total_time_s]
    with pytest.raises(FigureError, match="no policy was run"):
        comparison({**found.to_json(), "summaries": []})
