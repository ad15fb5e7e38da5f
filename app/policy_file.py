"""A setting as a YAML file: a preset that the service and the command line load.

The rules under ``tasks`` are also what a request may carry as its ``policy``, word for word.
"""

import yaml

from serve.rules import ExitRules

MAX_DESCRIPTION = 400


def policy_yaml(task: str, rules: ExitRules, description: str) -> str:
    """The text of a preset file in which ``rules`` hold for ``task``; others run at full depth.

    Args:
        task: That the rules were chosen for.
        rules: Of the setting.
        description: What is known of it, in a sentence.
    """
    preset = {
        "description": description[:MAX_DESCRIPTION],
        "default": plain_rules(ExitRules()),
        "tasks": {task: plain_rules(rules)},
    }
    header = (
        f"# Used by: python -m model_core evaluate --task {task} --policy FILE\n"
        f"# A request to the service takes what stands under `tasks: {task}:` as its `policy`.\n"
    )
    return header + yaml.safe_dump(
        preset, sort_keys=False, allow_unicode=True, width=88, default_flow_style=None
    )


def plain_rules(rules: ExitRules) -> dict[str, object]:
    """The rules as plain values, without what is not set."""
    return rules.model_dump(mode="json", exclude_none=True)
