"""Our own architectures, known to transformers: importing this module is enough for its Auto classes.

The modeling half of transformers takes five seconds to import, and the embedded models do without it. So the
configs are registered here, and the model classes when one of these configs is made.
"""

from __future__ import annotations

from importlib import import_module

from beam_sts.models.configs import BertHashConfig, NeoBertConfig, when_made

_MODULES = {
    BertHashConfig.model_type: "beam_sts.models.bert_hash",
    NeoBertConfig.model_type: "beam_sts.models.neobert",
}


def _register_classes(model_type: str) -> None:
    import_module(_MODULES[model_type])


when_made(_register_classes)
