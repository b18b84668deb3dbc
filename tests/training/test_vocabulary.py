"""The vocabulary depends only on its texts, in every process."""

import subprocess
import sys

from beam_sts.training import vocabulary
from beam_sts.training.vocabulary import SPECIAL_TOKENS, train_vocabulary
from tests.checkpoints import SENTENCES

TRAINED = """
import sys
from beam_sts.training import vocabulary
from tests.checkpoints import SENTENCES
vocabulary._LETTERS = int(sys.argv[1])
print(vocabulary.train_vocabulary(SENTENCES * 3, 200).to_str())
"""


def test_every_process_trains_the_same_vocabulary():
    # The limit of 20 letters is among many of equal frequency, and merges have many ties.
    for letters in ("400", "20"):
        command = [sys.executable, "-c", TRAINED, letters]
        trained = {subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)}
        assert len(trained) == 1


def test_special_tokens_come_first_and_letters_are_no_special_tokens():
    trained = train_vocabulary(SENTENCES * 3, 200)
    pieces = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    assert len(pieces) == 200
    assert pieces[:5] == list(SPECIAL_TOKENS)
    assert {token.content for token in trained.get_added_tokens_decoder().values()} == set(SPECIAL_TOKENS)
    assert trained.encode("man is", add_special_tokens=False).tokens != list("man is")


def test_the_alphabet_has_the_most_frequent_letters(monkeypatch):
    monkeypatch.setattr(vocabulary, "_LETTERS", 2)
    assert vocabulary._frequent_letters(["b a a", "C b", "C"]) == ["a", "b"]
    trained = train_vocabulary(["b a a", "C b", "C"], 100)
    assert set(trained.get_vocab()) == {*SPECIAL_TOKENS, "a", "b"}
