"""``python -m beam_sts.models`` prints the models this project knows, as the table of the documentation."""

from beam_sts.models.registry import markdown_table

print(markdown_table())
