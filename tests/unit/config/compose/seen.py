"""What Hydra's runs were called with, and experiments for them."""

from trustbench.config.compose import RunStart, hydra_run


class Seen:
    """What `begin` and `work` were called with."""

    def __init__(self):
        self.asked, self.arms = None, []

    def begin(self, asked):
        self.asked = asked
        return RunStart()

    def work(self, arm):
        self.arms.append(arm)
        return arm

    def run(self, *args):
        here = ["evaluator=utility", "hydra/launcher=basic"]  # in this process, to be seen
        return hydra_run([*here, *args], self.begin, self.work)


def experiment(tmp_path, body):
    """Writes +experiment=mine, whose sweeper has this body; the flags that find it."""
    path = tmp_path / "experiment" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(f"# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n{body}")
    return ["--config-dir", str(tmp_path)]


def who(results):
    """(interventions, seed) of each arm."""
    return [("+".join(i.name for i in a.interventions), a.seed) for a in results]
