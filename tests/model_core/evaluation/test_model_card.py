"""The measured part of a model card, from invented results."""

from model_core.evaluation.findings import Findings
from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.model_card import card_block
from tests.model_core.evaluation.invented import make_results


def test_card_by_hand() -> None:
    block = card_block(Findings({"caption": MeasuredSweep(make_results(), None)}))
    assert block.splitlines() == [
        "Full depth (`make bench`):",
        "",
        "|  | metrics |",
        "| --- | --- |",
        "| caption, test, greedy | CIDEr 0.500, BLEU-4 0.250, distinct1 0.100 |",
        "| caption, test, 5 beams | CIDEr 0.550, BLEU-4 0.275, distinct1 0.100 |",
        "",
        "Every exit depth of one site, the others at full depth:",
        "",
        "| depth | 1 | 2 | 3 |",
        "| --- | --- | --- | --- |",
        "| CIDEr, test, decoder | 0.300 | 0.450 | 0.500 |",
        "",
        "Share of full depth's quality that the presets keep:",
        "",
        "|  | `balanced` |",
        "| --- | --- |",
        "| caption, test | 1.020 |",
    ]
