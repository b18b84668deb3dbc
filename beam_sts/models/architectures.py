"""Registers the architectures of this package with transformers' Auto classes when it is imported.

The configs are registered at import. The model classes, which take seconds to import, are registered when
the first config is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from beam_sts.errors import UserError
from beam_sts.models.configs import BertHashConfig, NeoBertConfig, when_made
from beam_sts.models.files import reading
from beam_sts.models.sizes import classifies

_MODULES = {
    BertHashConfig.model_type: "beam_sts.models.bert_hash",
    NeoBertConfig.model_type: "beam_sts.models.neobert",
}


def _register_classes(model_type: str) -> None:
    import_module(_MODULES[model_type])


when_made(_register_classes)


def read_config(folder: Path, values: Mapping[str, Any], *, trust_remote_code: bool = False) -> Any:
    """The transformers config of a checkpoint.

    Args:
        folder: the folder of config.json.
        values: the content of config.json, checked.
        trust_remote_code: whether the architecture may be the checkpoint's own code.

    Raises:
        UserError: transformers refuses the config, or does not know the architecture.
    """
    with reading(f"{folder / 'config.json'} cannot be used", "Use the config that the model was saved with."):
        try:
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, KeyError) as error:
            if not trust_remote_code and "auto_map" in values:
                raise UserError(
                    f"{folder}: the architecture {values.get('model_type')!r} is not supported, and "
                    "the checkpoint's own Python code for it is not run. If you have read that code "
                    "and trust it, set --trust_remote_code (trust_remote_code=True)."
                ) from error
            raise
        if not classifies(values):
            config.num_labels = 1
        config.return_dict = True  # the form of the output does not change scores
    return config
