"""Items inside pages are found with any changes of white space and of a fifth of their words."""

import random
import string

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.passages.align import align
from beam_sts.passages.index import ItemIndex
from beam_sts.passages.words import word_bits, words_of

RNG = random.Random(4)
VOCABULARY = ["".join(RNG.choices(string.ascii_lowercase, k=RNG.randint(2, 10))) for _ in range(2000)]
LEAST = 0.7


def sentence(rng, words):
    return " ".join(rng.choices(VOCABULARY, k=words))


def page_with(item, rng, times=4):
    words = len(item.split())
    before, after = sentence(rng, rng.randint(0, words * times)), sentence(rng, words * times)
    return f"{before}\n{item}\n{after}", len(before) + 1


@given(st.integers(0, 10_000), st.integers(8, 40), st.integers(0, 10))
def test_an_item_is_found_where_it_is_however_long_the_page_around_it(seed, words, times):
    rng = random.Random(seed)
    items = [sentence(rng, words) for _ in range(5)]
    text, start = page_with(items[3], rng, times)
    found = ItemIndex.of(items).find([sentence(rng, 50), text], LEAST)
    assert found.page.tolist() == [1]
    assert (found.item[0], found.start[0], found.stop[0]) == (3, start, start + len(items[3]))
    assert (found.item_start[0], found.item_stop[0]) == (0, len(items[3]))
    assert found.score[0] == 1


@given(st.integers(0, 10_000))
def test_white_space_case_and_punctuation_make_no_difference(seed):
    rng = random.Random(seed)
    item = sentence(rng, 12)
    changed = "".join(
        rng.choice(["\n", "  ", "\t", " \u00a0", ", "]) if char == " " else rng.choice([char, char.upper()])
        for char in item
    )
    text = f"{sentence(rng, 9)} ({changed})! {sentence(rng, 9)}"
    found = ItemIndex.of([item]).find([text], LEAST)
    assert text[found.start[0] : found.stop[0]] == changed
    assert found.score[0] == 1


def test_with_a_fifth_of_the_words_replaced_nine_in_ten_are_found_and_nothing_else():
    rng = random.Random(1)
    items = [sentence(rng, rng.randint(8, 30)) for _ in range(300)]
    pages, where = [], []
    for number in range(600):
        if number % 3:
            pages.append(sentence(rng, 120))
            continue
        words = items[number // 3].split()
        for at in rng.sample(range(len(words)), round(0.2 * len(words))):
            words[at] = rng.choice(VOCABULARY)
        pages.append(page_with(" ".join(words), rng)[0])
        where.append((number, number // 3))
    found = ItemIndex.of(items).find(pages, LEAST)
    right = set(zip(found.page.tolist(), found.item.tolist(), strict=True))
    assert len(right & set(where)) >= 0.95 * len(where)
    assert right <= set(where)


def test_an_item_that_is_there_twice_is_found_twice_and_of_equal_items_the_first_is_named():
    item = sentence(random.Random(2), 10)
    index = ItemIndex.of([item.upper(), item, "too short"])
    found = index.find([f"{item}. {item}. And {item}"], LEAST)
    assert found.item.tolist() == [0, 0, 0]
    assert found.start.tolist() == [0, len(item) + 2, 2 * len(item) + 8]
    assert index.repeated.tolist() == [False, True, False]
    assert index.short.tolist() == [False, False, True]


def test_of_items_that_overlap_the_one_that_says_most_is_named():
    rng = random.Random(3)
    long = sentence(rng, 20)
    inside = " ".join(long.split()[4:14])
    found = ItemIndex.of([inside, long]).find([f"see {long} there", f"see {inside} there"], LEAST)
    assert found.page.tolist() == [0, 1]
    assert found.item.tolist() == [1, 0]


def test_nothing_is_found_in_nothing():
    for items, pages in (([], ["a text"]), (["a text"], []), ([], []), (["", "?"], ["", "!"])):
        assert len(ItemIndex.of(items).find(pages, LEAST)) == 0


@given(st.lists(st.integers(0, 4), max_size=30), st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_an_alignment_is_as_good_as_the_best_of_all(page, item):
    bits = np.array([3 + (word * 2) for word in item], np.float32)
    found = align(np.array(page, np.uint64), np.array(item, np.uint64), bits, bits[None])
    best = 0.0
    table = {}  # score of the best alignment that ends with item word i at page word j
    for i, word in enumerate(item):
        for j, there in enumerate(page):
            if word == there:
                before = [table[a, b] - (j - b - 1) for a in range(i) for b in range(j) if (a, b) in table]
                table[i, j] = float(bits[i]) + max([0.0, *before])
                best = max(best, table[i, j])
    if found is None:
        assert best == 0
    else:
        assert found.score == best
        assert page[found.start] == item[found.item_start]
        assert page[found.stop - 1] == item[found.item_stop - 1]


def test_scripts_without_spaces_are_compared_by_characters():
    item = "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb\u516c\u56ed\u6563\u6b65\u5427"
    text = f"\u4ed6\u8bf4\uff1a{item}\u3002\u7136\u540e\u8d70\u4e86"
    found = ItemIndex.of([item]).find([text], LEAST)
    assert text[found.start[0] : found.stop[0]] == item


def test_frequent_and_short_words_say_less():
    words = words_of(["aardvark in " + "harvest " * 900])
    bits = word_bits(words)
    assert bits[0] > bits[2] > 0
    assert bits[1] < bits[0]
