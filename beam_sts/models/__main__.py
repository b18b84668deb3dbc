"""``python -m beam_sts.models`` prints the known models as the Markdown table of the documentation."""

from beam_sts.models.registry import markdown_table

print(markdown_table())
